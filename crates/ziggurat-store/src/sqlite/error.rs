use std::path::PathBuf;

/// A file cannot be used as a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It cannot be opened, or is no database.
    #[error("{}: {source}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// A later version of this program made it.
    #[error("{}: the file has layout {found}, this program knows up to {known}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its layout.
        found: i64,
        /// The latest one that is known.
        known: i64,
    },
    /// There is no thread for it.
    #[error("no thread for the store: {0}")]
    Thread(std::io::Error),
}
