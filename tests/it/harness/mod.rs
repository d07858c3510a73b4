//! What the integration tests stand on: a throwaway PostgreSQL, a client that speaks raw messages, the proxy as a process, a scripted backend,
//! and the harness that plays one dialogue directly and through the proxy and compares every byte.

pub mod cluster;
pub mod drip;
pub mod fake;
pub mod fe;
pub mod guarded;
pub mod message;
pub mod metrics;
pub mod proxy;
pub mod stage;
pub mod talk;

pub use cluster::cluster;
pub use fe::Bind;
pub use guarded::Guarded;
pub use message::Message;
pub use proxy::Proxy;
pub use stage::{Stage, same_as_direct, same_when_guarded};
pub use talk::Talk;
