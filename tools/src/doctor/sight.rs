// SPDX-License-Identifier: GPL-2.0-only

//! Looking at the machine, so that what cannot be seen is told from what is not there.

use super::finding::Sight;
use crate::error::Result;
use crate::program;
use std::fs;
use std::io;
use std::path::{
    Path,
    PathBuf, //
};
use std::time::Duration;

/// The text of a file, without blanks at its ends. [`None`] if there is no such file.
pub fn file(path: &Path) -> Sight<Option<String>> {
    match fs::read(path) {
        Ok(text) => Ok(Some(String::from_utf8_lossy(&text).trim().into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

/// The text of a file that has to be there.
pub fn text(path: &Path) -> Sight<String> {
    file(path)?.ok_or_else(|| format!("there is no {}", path.display()))
}

/// What is in a directory. A directory that is not there is empty.
pub fn dir(path: &Path) -> Sight<Vec<PathBuf>> {
    let context = |error| format!("cannot read {}: {error}", path.display());
    match fs::read_dir(path) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.path()).map_err(context))
            .collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(context(error)),
    }
}

/// Nothing is said of files below a directory that is not there, as `/etc` always is.
pub fn has_etc(root: &Path) -> Sight<()> {
    let etc = root.join("etc");
    match fs::read_dir(&etc) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("cannot read {}: {error}", etc.display())),
    }
}

/// What a program says.
pub fn said(name: &str, arguments: &[&str]) -> Sight<String> {
    heard(name, || program::output(name, arguments))
}

/// What one says that may take so long.
pub fn said_within(limit: Duration, name: &str, arguments: &[&str]) -> Sight<String> {
    heard(name, || program::output_within(limit, name, arguments))
}

fn heard(name: &str, run: impl FnOnce() -> Result<String>) -> Sight<String> {
    if !program::exists(name) {
        return Err(format!("there is no program {name}"));
    }
    run()
        .map(|said| said.trim().into())
        .map_err(|error| error.to_string())
}

/// What is set in nfs.conf and its directory.
pub fn nfs_conf(section: &str, key: &str) -> Sight<Option<String>> {
    match said("nfsconf", &["--get", section, key]) {
        Ok(value) => Ok(Some(value)),
        // As it ends if nothing is set.
        Err(error) if error.contains("(exit status: 1)") => Ok(None),
        Err(error) => Err(error),
    }
}
