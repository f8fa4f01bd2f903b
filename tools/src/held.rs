// SPDX-License-Identifier: GPL-2.0-only

//! What exactly NFSv4 clients have on a filesystem, as `nfs4_held` of the module says it.
//!
//! That file has a line for each open, lock and delegation, as nfsd comes across them. Here they are put
//! together as a list has them: a file once, and of its locks the bytes.

use crate::nfsd::Nfsd;
use crate::policy::fsid::Fsid;
use crate::policy::nfs4::had::{
    Lock,
    Span,
    Whole, //
};
use crate::policy::nfs4::list::{
    Count,
    Line,
    MAX_NAME, //
};
use std::collections::BTreeMap;

/// What a client had, by the numbers of the inodes.
pub type Files = BTreeMap<u64, File>;

/// What a client had on a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    /// Of the whole file.
    pub whole: Whole,
    /// Its shared locks, the first bytes first; two that touch are one.
    pub shared: Vec<Span>,
    /// Its exclusive locks, likewise.
    pub exclusive: Vec<Span>,
}

impl File {
    /// One of which it is not known what it was.
    pub fn anything() -> Self {
        Self {
            whole: Whole::ANYTHING,
            ..Self::default()
        }
    }

    /// How many locks.
    pub fn locks(&self) -> u64 {
        (self.shared.len() + self.exclusive.len()) as u64
    }

    /// Adds more, whose locks have to be united then.
    fn add(&mut self, more: Self) {
        self.whole = self.whole.and(more.whole);
        self.shared.extend(more.shared);
        self.exclusive.extend(more.exclusive);
    }

    /// Puts its locks in order.
    fn unite(&mut self) {
        if self.whole == Whole::ANYTHING {
            // No lock says more.
            *self = Self::anything();
        }
        for spans in [&mut self.shared, &mut self.exclusive] {
            spans.sort_unstable();
            spans.dedup_by(|next, before| {
                let touches = next.start <= before.end.saturating_add(1);
                if touches {
                    before.end = before.end.max(next.end);
                }
                touches
            });
        }
    }
}

/// Adds what there was on files, of which some are there already.
pub fn add(files: &mut Files, more: Files) {
    collect(files, more);
    files.values_mut().for_each(File::unite);
}

/// The same, of which the locks have to be united when all is there.
fn collect(files: &mut Files, more: impl IntoIterator<Item = (u64, File)>) {
    for (inode, file) in more {
        files.entry(inode).or_default().add(file);
    }
}

/// All clients that have something on a filesystem.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Held(BTreeMap<Vec<u8>, Option<Files>>);

impl Held {
    /// Looks. [`None`] if a module that is too old does not say it, or it cannot be read whole.
    pub fn look(nfsd: &Nfsd, fsid: Fsid) -> Option<Self> {
        let said = nfsd.converse("nfs4_held", &fsid.to_string()).ok()?;
        Self::parse(said.as_bytes())
    }

    /// Reads what was said, whole or not at all.
    pub fn parse(said: &[u8]) -> Option<Self> {
        let mut reading = Reading::default();
        for line in said.split_inclusive(|byte| *byte == b'\n') {
            let mut buffer = [0; MAX_NAME];
            reading.take(Line::parse(line, &mut buffer).ok()?)?;
        }
        reading.ended.then_some(reading.held)
    }

    /// What those have who call themselves so, if there are any and it is known.
    pub fn of(&self, name: &[u8]) -> Option<&Files> {
        self.0.get(name)?.as_ref()
    }
}

/// A client as it is said.
struct Said {
    name: Vec<u8>,
    /// Its files as they come, if they do.
    files: Option<Vec<(u64, File)>>,
}

/// How far it was read.
#[derive(Default)]
struct Reading {
    held: Held,
    count: Count,
    /// The last client.
    client: Option<Said>,
    ended: bool,
}

impl Reading {
    /// Takes the next line; [`None`] if it may not be that.
    fn take(&mut self, line: Line<'_>) -> Option<()> {
        if self.ended {
            return None;
        }
        match line {
            Line::Version | Line::Unit(_) => return None,
            Line::Client {
                lists_files, name, ..
            } => {
                self.finish_client();
                self.client = Some(Said {
                    name: name.into(),
                    files: lists_files.then(Vec::new),
                });
                self.count.clients += 1;
            }
            Line::File { inode, whole } => {
                let file = File {
                    whole,
                    ..File::default()
                };
                self.files()?.push((inode, file));
                self.count.files += 1;
            }
            Line::Lock(Lock { exclusive, span }) => {
                let (_, file) = self.files()?.last_mut()?;
                match exclusive {
                    true => file.exclusive.push(span),
                    false => file.shared.push(span),
                }
                self.count.locks += 1;
            }
            Line::End(count) => {
                self.finish_client();
                for file in self
                    .held
                    .0
                    .values_mut()
                    .flatten()
                    .flat_map(Files::values_mut)
                {
                    file.unite();
                }
                self.ended = count == self.count;
                return self.ended.then_some(());
            }
        }
        Some(())
    }

    fn files(&mut self) -> Option<&mut Vec<(u64, File)>> {
        self.client.as_mut()?.files.as_mut()
    }

    /// Whoever comes twice has all of it, which is known if all of it is.
    fn finish_client(&mut self) {
        let Some(Said { name, files }) = self.client.take() else {
            return;
        };
        let known = self.held.0.entry(name).or_insert(Some(Files::new()));
        match (known.as_mut(), files) {
            (Some(known), Some(files)) => collect(known, files),
            _ => *known = None,
        }
    }
}
