//! The shared cluster and its databases.

use crate::support;

#[tokio::test]
async fn databases_are_apart() {
    let (one, two) = (support::create_database_with("CREATE TABLE t (a int)").await, support::create_database().await);
    assert!(one.connect().await.query("SELECT a FROM t", &[]).await.unwrap().is_empty());
    assert!(two.connect().await.query("SELECT a FROM t", &[]).await.is_err());
}
