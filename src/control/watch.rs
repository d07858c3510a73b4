//! Reloads when a rule file has changed.
//!
//! Looks at the files again and again instead of asking the kernel to tell: a ConfigMap that swaps a symbolic link, a link in the middle of a path, a
//! mount that replaces a directory and a network file system all look the same from here, and each takes one `stat` a file.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{Control, Trigger};
use crate::rules::load;

/// A thread that watches. Dropping it ends it.
#[derive(Debug)]
pub struct Watch {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Looks at the rule files every `interval`. A change since `look` counts once it has stood still for that long.
    ///
    /// # Errors
    /// No thread can be had.
    pub fn start(control: &Arc<Control>, mut look: Look, interval: Duration) -> io::Result<Self> {
        let control = Arc::clone(control);
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = thread::Builder::new().name("watch".into()).spawn(move || {
            while stopped.recv_timeout(interval) == Err(mpsc::RecvTimeoutError::Timeout) {
                if look.again(&control.paths) {
                    // Mistakes are logged and counted there.
                    let _ = control.reload(Trigger::Change);
                }
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the watch over the rule files panicked");
        }
    }
}

/// What the files looked like.
#[derive(Debug)]
pub struct Look {
    /// When they were loaded.
    loaded: u64,
    /// The last time.
    last: u64,
}

impl Look {
    /// Before they are loaded for the first time, so that no change falls between.
    pub fn new(paths: &[PathBuf]) -> Self {
        let now = fingerprint(paths);
        Self { loaded: now, last: now }
    }

    /// Whether they have changed since they were loaded, and not since the last time: nobody is writing them just now.
    fn again(&mut self, paths: &[PathBuf]) -> bool {
        let now = fingerprint(paths);
        let still = std::mem::replace(&mut self.last, now) == now;
        if !still || now == self.loaded {
            return false;
        }
        self.loaded = now;
        true
    }
}

/// A number for the names of all rule files and the identity, size and times of what is behind each.
fn fingerprint(paths: &[PathBuf]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in load::rule_files(paths) {
        match file {
            Ok(path) => {
                path.hash(&mut hasher);
                let state = std::fs::metadata(&path).map(|meta| {
                    let times = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
                    (meta.dev(), meta.ino(), meta.len(), times)
                });
                state.map_err(|error| error.kind()).hash(&mut hasher);
            }
            Err(unreadable) => unreadable.message.hash(&mut hasher),
        }
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_once_it_stands_still() {
        let directory = tempfile::tempdir().unwrap();
        let paths = [directory.path().to_owned()];
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        write("a.yaml", "one");
        let mut look = Look::new(&paths);
        assert!(!look.again(&paths));
        write("a.yaml", "another");
        assert!(!look.again(&paths), "it may be in the middle of it");
        write("a.yaml", "yet another");
        assert!(!look.again(&paths));
        assert!(look.again(&paths));
        assert!(!look.again(&paths), "once");
        write("b.yaml", "new");
        assert!(!look.again(&paths));
        assert!(look.again(&paths));
        write("c.txt", "no rule file");
        assert!(!look.again(&paths) && !look.again(&paths));
        std::fs::remove_file(directory.path().join("a.yaml")).unwrap();
        assert!(!look.again(&paths));
        assert!(look.again(&paths));
    }

    /// Kubernetes: `rules.yaml → ..data/rules.yaml`, `..data → ..2026_11_26`, which is replaced by a rename.
    #[test]
    fn a_swapped_link_is_a_change() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for (version, text) in [("..1", "one"), ("..2", "two")] {
            std::fs::create_dir(at(version)).unwrap();
            std::fs::write(at(version).join("rules.yaml"), text).unwrap();
        }
        std::os::unix::fs::symlink("..1", at("..data")).unwrap();
        std::os::unix::fs::symlink("..data/rules.yaml", at("rules.yaml")).unwrap();
        for paths in [[directory.path().to_owned()], [at("rules.yaml")]] {
            let mut look = Look::new(&paths);
            for version in ["..2", "..1"] {
                std::os::unix::fs::symlink(version, at("..tmp")).unwrap();
                std::fs::rename(at("..tmp"), at("..data")).unwrap();
                assert!(!look.again(&paths), "{paths:?}");
                assert!(look.again(&paths), "{paths:?}");
            }
        }
    }
}
