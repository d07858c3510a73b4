//! Output compared with files; `UPDATE_EXPECTED=1` writes them anew.

use std::{fs, path::Path};

/// Compares what was printed with a file below `tests/fixtures`.
#[track_caller]
pub fn compare(printed: &str, expected: &str) {
    compare_file(printed, &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(expected));
}

/// Compares a text with a file.
#[track_caller]
pub fn compare_file(printed: &str, path: &Path) {
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(path, printed).unwrap();
    }
    let wanted = fs::read_to_string(path).unwrap_or_default();
    assert!(
        printed == wanted,
        "the output is not {} (- expected, + printed):\n{}",
        path.display(),
        diff(&wanted, printed)
    );
}

/// Both texts line by line, by the longest common subsequence.
fn diff(wanted: &str, printed: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (wanted.lines().collect(), printed.lines().collect());
    let mut common = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i][j] = if a[i] == b[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut out) = (0, 0, String::new());
    while i < a.len() || j < b.len() {
        let (mark, line) = if i < a.len() && j < b.len() && a[i] == b[j] {
            (i, j) = (i + 1, j + 1);
            (' ', a[i - 1])
        } else if j == b.len() || (i < a.len() && common[i + 1][j] >= common[i][j + 1]) {
            i += 1;
            ('-', a[i - 1])
        } else {
            j += 1;
            ('+', b[j - 1])
        };
        out.push_str(&format!("{mark} {line}\n"));
    }
    out
}
