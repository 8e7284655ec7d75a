//! Looks whether the files of the configuration have changed.
//!
//! Every `ziggurat.reload.watch` (2 s by default; off with `false`) the files that the configuration was read from are looked
//! at: whether they are others by place, size or time, and only then whether their contents are. So it does not matter how a
//! change comes about: an editor that renames a new file over the old one, Kubernetes that turns a symbolic link, a file system
//! that tells nobody. A change is taken up when the files have been the same twice, a fifth of a second apart: what is half
//! written is waited for. While the configuration is wrong it is read again every time, since what it lacked may have come from
//! elsewhere (a file that it includes); the same complaint is not repeated.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{Reload, tell};
use crate::config::contents_of;

/// How long files must have stayed the same before they are read.
const STEADY: Duration = Duration::from_millis(200);
/// Between looking whether watching was switched on again.
const ASLEEP: Duration = Duration::from_secs(3600);

/// Where a file is and when it was written: whether it is worth to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Look {
    real: Option<PathBuf>,
    length: u64,
    modified: Option<SystemTime>,
    node: (u64, u64, i64, i64),
}

/// Files as they were at some time.
type Looks = BTreeMap<PathBuf, Option<Look>>;

/// Reads the configuration again when its files change. It never ends by itself.
pub async fn watch(reload: Arc<Reload>) {
    // As the files looked when they were last known to hold what was read; what was read is in the configuration.
    let mut known = None;
    let mut complaint: Option<String> = None;
    loop {
        let config = reload.config();
        let every = config.ziggurat.reload.watch;
        {
            let changed = reload.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            tokio::select! {
                () = tokio::time::sleep(every.unwrap_or(ASLEEP)) => {}
                // Somebody else has had it read: it may have other files, and another pace.
                () = changed => {
                    (known, complaint) = (None, None);
                    continue;
                }
            }
        }
        if every.is_none() {
            continue;
        }
        let now = Some(looks(&config.files).await);
        if now == known && complaint.is_none() {
            continue;
        }
        known = Some(settled(&config.files).await);
        let files = config.files.clone();
        let contents = blocking(move || contents_of(&files)).await;
        if contents == config.contents && complaint.is_none() {
            continue;
        }
        let done = reload.quietly().await;
        let told = done.as_ref().err().map(ToString::to_string);
        if told.is_none() || told != complaint {
            tell("a file has changed", &done);
        }
        complaint = told;
    }
}

/// Waits until the files stay as they are.
async fn settled(files: &[PathBuf]) -> Looks {
    let mut last = looks(files).await;
    loop {
        tokio::time::sleep(STEADY).await;
        let now = looks(files).await;
        if now == last {
            return now;
        }
        last = now;
    }
}

async fn looks(files: &[PathBuf]) -> Looks {
    let files = files.to_vec();
    blocking(move || look(&files)).await
}

async fn blocking<T: Default + Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap_or_default()
}

fn look(files: &[PathBuf]) -> Looks {
    files.iter().map(|file| (file.clone(), Look::at(file))).collect()
}

impl Look {
    fn at(file: &Path) -> Option<Self> {
        let metadata = fs::metadata(file).ok()?;
        Some(Self {
            real: file.canonicalize().ok(),
            length: metadata.len(),
            modified: metadata.modified().ok(),
            node: node(&metadata),
        })
    }
}

#[cfg(unix)]
fn node(metadata: &Metadata) -> (u64, u64, i64, i64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn node(_: &Metadata) -> (u64, u64, i64, i64) {
    (0, 0, 0, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_written_renamed_linked_or_gone_looks_different() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.yaml");
        let files = [path.clone()];
        let missing = look(&files);
        fs::write(&path, "a").unwrap();
        let written = look(&files);
        assert_ne!(missing, written);
        assert_eq!(written, look(&files));

        let other = directory.path().join("other.yaml");
        fs::write(&other, "b").unwrap();
        fs::rename(&other, &path).unwrap();
        let renamed = look(&files);
        assert_ne!(written, renamed);
        assert_ne!(contents_of(&files), contents_of(std::slice::from_ref(&other)));

        // As Kubernetes does: a link to a link to a directory.
        #[cfg(unix)]
        {
            use std::os::unix::fs::symlink;
            for name in ["one", "two"] {
                fs::create_dir(directory.path().join(name)).unwrap();
                fs::write(directory.path().join(name).join("config.yaml"), name).unwrap();
            }
            let data = directory.path().join("..data");
            let mounted = directory.path().join("mounted.yaml");
            symlink("one", &data).unwrap();
            symlink("..data/config.yaml", &mounted).unwrap();
            let files = [mounted];
            let (one, text) = (look(&files), contents_of(&files));
            let turned = directory.path().join("..data_tmp");
            symlink("two", &turned).unwrap();
            fs::rename(&turned, &data).unwrap();
            assert_ne!(one, look(&files));
            assert_ne!(text, contents_of(&files));
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(look(&files), missing);
    }
}
