//! Paths → rule files.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use super::whole;
use crate::rules::diagnostic::{Code, Diagnostic};

/// Directories below directories; a loop of symbolic links ends here.
const DEEPEST: usize = 16;

/// A directory of rule files of which everybody needs a few: it is read where a path names it, or something in it.
const PRESETS: &str = "presets";

/// A rule file, or why a path gives none.
pub type Found = Result<PathBuf, Box<Diagnostic>>;

/// Every rule file that comes into force, in order, each once; or why a path gives none. Presets further down than a path are left out.
pub fn rule_files(paths: &[PathBuf]) -> Vec<Found> {
    files(paths, false)
}

/// As [`rule_files`], with all presets.
pub(super) fn all_files(paths: &[PathBuf]) -> Vec<Found> {
    files(paths, true)
}

fn files(paths: &[PathBuf], presets: bool) -> Vec<Found> {
    let mut found = Vec::new();
    for path in paths {
        let before = found.len();
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => {
                below(path, presets, 0, &mut found);
                if found.len() == before {
                    let d = Diagnostic::warning(Code::NoEffect, whole(path), "no rule file is below this directory");
                    found.push(Err(Box::new(d.help("rule files end in .yaml or .yml"))));
                }
            }
            Ok(_) => found.push(Ok(path.clone())),
            Err(error) => found.push(Err(unreadable(path, &error))),
        }
    }
    let mut seen = HashSet::new();
    found.retain(|entry| match entry {
        Ok(path) => seen.insert(std::fs::canonicalize(path).unwrap_or_else(|_| path.clone())),
        Err(_) => true,
    });
    found
}

fn below(directory: &Path, presets: bool, depth: usize, found: &mut Vec<Found>) {
    let listed = std::fs::read_dir(directory).and_then(|entries| entries.map(|e| e.map(|e| e.path())).collect());
    let mut paths: Vec<PathBuf> = match listed {
        Ok(paths) => paths,
        Err(error) => return found.push(Err(unreadable(directory, &error))),
    };
    paths.sort();
    for path in paths {
        // Kubernetes mounts a ConfigMap as links into a hidden `..data` directory: each file is there twice.
        if path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b".")) {
            continue;
        }
        if path.is_dir() {
            if depth < DEEPEST && (presets || !path.ends_with(PRESETS)) {
                below(&path, presets, depth + 1, found);
            }
        } else if path.extension().is_some_and(|e| e == "yaml" || e == "yml") {
            found.push(Ok(path));
        }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Box<Diagnostic> {
    Box::new(Diagnostic::error(Code::Unreadable, whole(path), format!("it cannot be read: {error}")))
}
