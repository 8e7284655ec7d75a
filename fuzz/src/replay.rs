//! Inputs from files.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
};

use crate::Target;

/// Runs `target` over each of `paths`: files, and folders of files.
///
/// # Errors
///
/// A path could not be read.
pub fn replay(target: Target, paths: impl Iterator<Item = OsString>) -> io::Result<()> {
    for path in paths.map(PathBuf::from) {
        if path.is_dir() {
            for (_, data) in corpus(&path)? {
                target(&data);
            }
        } else {
            target(&fs::read(path)?);
        }
    }
    Ok(())
}

/// The files of `dir` with their names, in the order of their names. Names that begin with a dot
/// are no inputs.
///
/// # Errors
///
/// The folder or a file could not be read.
pub fn corpus(dir: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut inputs = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_file() && !name.starts_with('.') {
            inputs.push((name, fs::read(entry.path())?));
        }
    }
    inputs.sort();
    Ok(inputs)
}
