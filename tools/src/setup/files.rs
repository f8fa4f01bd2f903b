// SPDX-License-Identifier: GPL-2.0-only

//! Several files that are written together, or not at all.

use crate::durable;
use crate::error::{
    Context,
    Error,
    Result, //
};
use std::fs;
use std::io;
use std::path::PathBuf;

/// A file that is to be written, and what it has had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where.
    pub path: PathBuf,
    /// What it has; [`None`] if it is not there.
    pub old: Option<String>,
    /// What it is to have.
    pub new: String,
}

impl File {
    /// Reads what is there.
    pub fn read(path: PathBuf, new: String) -> Result<Self> {
        let old = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            other => Some(other.context(|| format!("cannot read {}", path.display()))?),
        };
        Ok(Self { path, old, new })
    }

    fn beside(&self) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default();
        // What reads these directories reads no file with another ending.
        self.path
            .with_file_name(format!(".{}.setup", name.to_string_lossy()))
    }

    fn stage(&self) -> Result<()> {
        let beside = self.beside();
        let context = || format!("cannot write {}", beside.display());
        if let Some(dir) = self.path.parent() {
            fs::create_dir_all(dir).context(context)?;
        }
        durable::write_for(&beside, self.new.as_bytes(), 0o644, None).context(context)
    }

    /// Puts back what was there.
    fn restore(&self) -> Result<()> {
        let context = || format!("cannot restore {}", self.path.display());
        match &self.old {
            Some(old) => {
                durable::write_for(&self.path, old.as_bytes(), 0o644, None).context(context)
            }
            None => durable::remove(&self.path).map(drop).context(context),
        }
    }
}

/// Writes all of them, or leaves all as they are.
pub fn write(files: &[File]) -> Result<()> {
    let staged = files.iter().try_for_each(File::stage);
    let renamed = staged.and_then(|()| {
        files.iter().try_for_each(|file| {
            fs::rename(file.beside(), &file.path)
                .context(|| format!("cannot replace {}", file.path.display()))
        })
    });
    let Err(error) = renamed else { return Ok(()) };
    for file in files {
        let _ = fs::remove_file(file.beside());
    }
    match restore(files) {
        Ok(()) => Err(error),
        Err(more) => Err(Error::new(format!("{error}; {more}"))),
    }
}

/// Puts back what all of them have had.
pub fn restore(files: &[File]) -> Result<()> {
    let failed: Vec<_> = files
        .iter()
        .filter(|file| fs::read_to_string(&file.path).ok() != file.old)
        .filter_map(|file| file.restore().err())
        .map(|error| error.to_string())
        .collect();
    match failed.is_empty() {
        true => Ok(()),
        false => Err(Error::new(failed.join("; "))),
    }
}
