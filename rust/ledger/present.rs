// SPDX-License-Identifier: GPL-2.0-only

//! What NFSv4 clients have at the moment, as it is met.
//!
//! It is taken down under spinlocks, into room that was made before. What has no room is only counted;
//! then there is to be another beginning, with room for all that was met.

use crate::policy::nfs4::{
    had::{
        Lock,
        Whole, //
    },
    list::{
        Count,
        Line, //
    },
};
use kernel::prelude::*;

/// For how many lines there is room at first, and for how many bytes of names.
const FIRST: (usize, usize) = (64, 1024);

#[derive(Clone, Copy)]
enum Entry {
    Client {
        completes: bool,
        at: usize,
        len: usize,
    },
    File {
        inode: u64,
        whole: Whole,
    },
    Lock(Lock),
}

/// Lines about clients, each followed by those about its files and their locks.
#[derive(Default)]
pub(crate) struct Present {
    entries: KVVec<Entry>,
    names: KVVec<u8>,
    /// How many lines and bytes there were, with those that had no room.
    met: (usize, usize),
    count: Count,
}

impl Present {
    /// Forgets all that was met, and makes room for that and a quarter more. May sleep.
    pub(crate) fn begin(&mut self) -> Result {
        let room = |met: usize, first: usize| (met + met / 4).max(first);
        let (entries, names) = self.met;
        *self = Self::default();
        self.entries.reserve(room(entries, FIRST.0), GFP_KERNEL)?;
        self.names.reserve(room(names, FIRST.1), GFP_KERNEL)?;
        Ok(())
    }

    /// Whether there was room for all.
    pub(crate) fn is_whole(&self) -> bool {
        self.met == (self.entries.len(), self.names.len())
    }

    /// Another client. Does not sleep, as those that follow.
    pub(crate) fn client(&mut self, completes: bool, name: &[u8]) {
        let at = self.names.len();
        if name.len() <= self.names.capacity() - at {
            // It has room, so nothing is allocated.
            let _ = self.names.extend_from_slice(name, GFP_NOWAIT);
        }
        self.met.1 += name.len();
        self.count.clients += 1;
        self.add(Entry::Client {
            completes,
            at,
            len: name.len(),
        });
    }

    /// A file of the last client.
    pub(crate) fn file(&mut self, inode: u64, whole: Whole) {
        self.count.files += 1;
        self.add(Entry::File { inode, whole });
    }

    /// A lock of the last file.
    pub(crate) fn lock(&mut self, lock: Lock) {
        self.count.locks += 1;
        self.add(Entry::Lock(lock));
    }

    fn add(&mut self, entry: Entry) {
        self.met.0 += 1;
        let _ = self.entries.push_within_capacity(entry);
    }

    /// Line number `number`; the last one says how many there are.
    pub(crate) fn line(&self, number: usize) -> Option<Line<'_>> {
        Some(match self.entries.get(number) {
            Some(&Entry::Client { completes, at, len }) => Line::Client {
                completes,
                lists_files: true,
                name: self.names.get(at..at + len)?,
            },
            Some(&Entry::File { inode, whole }) => Line::File { inode, whole },
            Some(&Entry::Lock(lock)) => Line::Lock(lock),
            None if number == self.entries.len() => Line::End(self.count),
            None => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::policy::nfs4::had::{
        Modes,
        Span, //
    };
    use kernel::alloc::fail_after;
    use std::{
        format,
        string::String,
        vec, //
    };

    /// Clients with names of that length, each with files, each of them with locks.
    fn meet(present: &mut Present, clients: usize, len: usize, files: u64, locks: u64) {
        for client in 0..clients {
            present.client(client % 2 == 0, &vec![b'a' + client as u8; len]);
            for inode in 0..files {
                let access = Modes::BOTH;
                let whole = Whole {
                    access,
                    ..Whole::default()
                };
                present.file(inode, whole);
                for start in 0..locks {
                    let span = Span { start, end: start };
                    let exclusive = start % 2 == 0;
                    present.lock(Lock { exclusive, span });
                }
            }
        }
    }

    fn printed(present: &Present) -> String {
        let mut text = String::new();
        for line in (0..).map_while(|number| present.line(number)) {
            text += &format!("{line}");
        }
        text
    }

    #[test]
    fn lines() {
        let mut present = Present::default();
        assert!(present.begin().is_ok());
        assert_eq!(printed(&present), "end clients=0 files=0 locks=0\n");
        meet(&mut present, 2, 3, 1, 2);
        assert!(present.is_whole());
        let expected = "client name=aaa
file inode=0 open=rw deny=- delegation=-
lock type=write start=0 end=0
lock type=read start=1 end=1
client completes=no name=bbb
file inode=0 open=rw deny=- delegation=-
lock type=write start=0 end=0
lock type=read start=1 end=1
end clients=2 files=2 locks=4
";
        assert_eq!(printed(&present), expected);
    }

    /// Nothing is allocated where nothing may sleep, and the second time all has room.
    #[test]
    fn what_has_no_room_is_met_again() {
        for (clients, len, files, locks) in [(3, 1024, 1, 0), (1, 5, 70, 0), (2, 600, 10, 10_000)] {
            let mut present = Present::default();
            assert!(present.begin().is_ok());
            fail_after(0);
            meet(&mut present, clients, len, files, locks);
            fail_after(usize::MAX);
            assert!(!present.is_whole());
            assert!(present.begin().is_ok());
            fail_after(0);
            meet(&mut present, clients, len, files, locks);
            fail_after(usize::MAX);
            assert!(present.is_whole());
            let end = format!(
                "end clients={clients} files={} locks={}\n",
                clients as u64 * files,
                clients as u64 * files * locks
            );
            assert!(printed(&present).ends_with(&end));
        }
    }

    /// There may be more the next time.
    #[test]
    fn a_quarter_more_has_room() {
        let mut present = Present::default();
        for files in [100, 125] {
            assert!(present.begin().is_ok());
            meet(&mut present, 1, 5, files, 3);
        }
        assert!(present.is_whole());
        meet(&mut present, 1, 5, 1, 0);
        assert!(!present.is_whole());
    }
}
