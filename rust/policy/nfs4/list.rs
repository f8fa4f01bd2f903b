// SPDX-License-Identifier: GPL-2.0-only

//! The lines of a list of what NFSv4 clients had.
//!
//! ```text
//! nfs-failover nfs4-clients 3
//! unit fsid=1234 phase=released taken=1763731234.000000001 valid=90
//! client name=Linux\040NFSv4.2\040c1@10.0.0.5
//! file inode=12 open=rw deny=- delegation=-
//! lock type=write start=0 end=9
//! file inode=13 open=- deny=- delegation=r
//! client completes=no files=unknown name=c2
//! end clients=2 files=2 locks=1
//! ```
//!
//! A file is one of the client above it, and a lock one of the file above it. Files come in the order of
//! their inode numbers, the locks of each kind in that of their bytes; two of a kind do not overlap. What
//! a client had through several opens or by several of its owners is one line. If clients of NLM had
//! something, too, the second line ends with `nfs4=listed`, and the list is worth nothing without the
//! manifest of that release.

use super::had::{
    Lock,
    Span,
    Whole, //
};
use crate::policy::{
    manifest::text::{
        self,
        Header, //
    },
    words::{
        number,
        value,
        Escaped,
        Invalid,
        Words, //
    },
};
use core::fmt;

/// The first line, without its end.
pub const VERSION: &str = "nfs-failover nfs4-clients 3";

/// Longest name of a client (`NFS4_OPAQUE_LIMIT`).
pub const MAX_NAME: usize = 1024;

/// Longest line.
pub const MAX_LINE: usize = 4 * MAX_NAME + 256;

/// Maximum number of clients.
pub const MAX_CLIENTS: u64 = 256;

/// Maximum number of files and locks together.
pub const MAX_LINES: u64 = 1 << 20;

/// How many of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Clients.
    pub clients: u64,
    /// Files of each client.
    pub files: u64,
    /// Locks of each file.
    pub locks: u64,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            clients,
            files,
            locks,
        } = self;
        write!(f, "clients={clients} files={files} locks={locks}")
    }
}

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// The first one.
    Version,
    /// Of which release it is.
    Unit(Header),
    /// A client.
    Client {
        /// Whether it says when it has back what it wanted: one of NFSv4.0 does not (RFC 7530).
        completes: bool,
        /// Whether all files on which it had anything follow.
        lists_files: bool,
        /// How it calls itself.
        name: &'a [u8],
    },
    /// A file on which it had something.
    File {
        /// The number of its inode.
        inode: u64,
        /// What.
        whole: Whole,
    },
    /// A lock that it had on the file.
    Lock(Lock),
    /// The list is whole.
    End(Count),
}

impl<'a> Line<'a> {
    /// Parses one line, its newline included; `buffer` receives a name.
    pub fn parse(line: &[u8], buffer: &'a mut [u8; MAX_NAME]) -> Result<Self, Invalid> {
        let said = line.strip_suffix(b"\n").ok_or(Invalid)?;
        if said == VERSION.as_bytes() {
            return Ok(Self::Version);
        }
        if said.starts_with(b"unit ") {
            return match text::Line::parse(line, &mut text::Buffers::new()) {
                Ok(text::Line::Unit(header @ Header::Released { .. })) => Ok(Self::Unit(header)),
                _ => Err(Invalid),
            };
        }
        let mut words = Words::new(said)?;
        let parsed = match words.next_raw().ok_or(Invalid)? {
            b"client" => Self::Client {
                completes: !has(&mut words, b"completes=", b"no")?,
                lists_files: !has(&mut words, b"files=", b"unknown")?,
                name: match value(&mut words, b"name=")? {
                    b"" => return Err(Invalid),
                    word => Words::new(word)?.next_into(buffer)?,
                },
            },
            b"file" => Self::File {
                inode: number(value(&mut words, b"inode=")?)?,
                whole: Whole::parse(&mut words)?,
            },
            b"lock" => Self::Lock(Lock::parse(&mut words)?),
            b"end" => Self::End(Count {
                clients: number(value(&mut words, b"clients=")?)?,
                files: number(value(&mut words, b"files=")?)?,
                locks: number(value(&mut words, b"locks=")?)?,
            }),
            _ => return Err(Invalid),
        };
        words.finish()?;
        Ok(parsed)
    }
}

/// Whether the next word says that; no other value is known.
fn has(words: &mut Words<'_>, key: &[u8], expected: &[u8]) -> Result<bool, Invalid> {
    match words.next_value(key) {
        None => Ok(false),
        Some(said) if said == expected => Ok(true),
        Some(_) => Err(Invalid),
    }
}

/// The line, with its newline.
impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version => writeln!(f, "{VERSION}"),
            Self::Unit(header) => writeln!(f, "{header}"),
            Self::Client {
                completes,
                lists_files,
                name,
            } => {
                let completes = if *completes { "" } else { "completes=no " };
                let files = if *lists_files { "" } else { "files=unknown " };
                writeln!(f, "client {completes}{files}name={}", Escaped(name))
            }
            Self::File { inode, whole } => writeln!(f, "file inode={inode} {whole}"),
            Self::Lock(lock) => writeln!(f, "lock {lock}"),
            Self::End(count) => writeln!(f, "end {count}"),
        }
    }
}

/// Where a list is: what may come next, and how much there was. Names of clients it does not compare.
#[derive(Clone, Copy, Debug, Default)]
pub struct Order {
    count: Count,
    /// Whether the first line was there, and the one of the unit.
    begun: (bool, bool),
    /// Whether there is a client whose files follow, and the last one of them.
    client: Option<Option<u64>>,
    /// The last shared and the last exclusive lock of that file.
    locks: [Option<Span>; 2],
    ended: bool,
}

impl Order {
    /// Takes the next line, if it may be that.
    pub fn take(&mut self, line: &Line<'_>) -> Result<(), Invalid> {
        let whole = self.begun == (true, true) && !self.ended;
        let is_next = match line {
            Line::Version => self.begun == (false, false),
            Line::Unit(_) => self.begun == (true, false),
            Line::Client { .. } => whole && self.count.clients < MAX_CLIENTS,
            Line::File { inode, .. } => {
                let before = self.client.filter(|_| whole && self.has_room());
                before.is_some_and(|before| before.is_none_or(|before| before < *inode))
            }
            Line::Lock(lock) => {
                let on_file = whole && self.has_room() && matches!(self.client, Some(Some(_)));
                let before = self.locks[usize::from(lock.exclusive)];
                on_file && before.is_none_or(|before| before.end < lock.span.start)
            }
            Line::End(count) => whole && *count == self.count && count.clients > 0,
        };
        if !is_next {
            return Err(Invalid);
        }
        match line {
            Line::Version => self.begun.0 = true,
            Line::Unit(_) => self.begun.1 = true,
            Line::Client { lists_files, .. } => {
                self.count.clients += 1;
                self.client = lists_files.then_some(None);
            }
            Line::File { inode, .. } => {
                self.count.files += 1;
                self.client = Some(Some(*inode));
                self.locks = [None; 2];
            }
            Line::Lock(lock) => {
                self.count.locks += 1;
                self.locks[usize::from(lock.exclusive)] = Some(lock.span);
            }
            Line::End(_) => self.ended = true,
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        self.count.files + self.count.locks < MAX_LINES
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::{
        format,
        string::ToString,
        vec::Vec, //
    };

    const LIST: &str = "nfs-failover nfs4-clients 3
unit fsid=1234 phase=released taken=5.000000000 valid=9
client name=a\\040b@10.0.0.5
file inode=12 open=rw deny=- delegation=-
lock type=write start=0 end=9
lock type=read start=5 end=5
lock type=write start=10 end=9223372036854775807
file inode=13 open=- deny=w delegation=r
client completes=no files=unknown name=c2
client completes=no name=c3
end clients=3 files=2 locks=3
";

    fn check(list: &str) -> Result<Order, Invalid> {
        let mut order = Order::default();
        for line in list.split_inclusive('\n') {
            let mut buffer = [0; MAX_NAME];
            let parsed = Line::parse(line.as_bytes(), &mut buffer)?;
            assert_eq!(parsed.to_string(), line);
            order.take(&parsed)?;
        }
        Ok(order)
    }

    #[test]
    fn what_is_printed_is_read() {
        assert!(check(LIST).is_ok_and(|order| order.ended));
    }

    #[test]
    fn a_part_is_no_list() {
        let lines: Vec<_> = LIST.split_inclusive('\n').collect();
        for gone in 0..lines.len() {
            let mut rest = lines.clone();
            rest.remove(gone);
            assert!(
                !check(&rest.concat()).is_ok_and(|order| order.ended),
                "{gone}"
            );
            let mut twice = lines.clone();
            twice.insert(gone, lines[gone]);
            assert!(check(&twice.concat()).is_err(), "{gone}");
        }
        for cut in 0..LIST.len() {
            assert!(!check(&LIST[..cut]).is_ok_and(|order| order.ended), "{cut}");
        }
    }

    #[test]
    fn what_is_out_of_order() {
        for (from, to) in [
            ("inode=13", "inode=12"),
            ("inode=13", "inode=11"),
            ("start=10", "start=9"),
            (
                "files=unknown name=c2\n",
                "files=unknown name=c2\nfile inode=1 open=r deny=- delegation=-\n",
            ),
            ("clients=3", "clients=2"),
            ("locks=3", "locks=4"),
            ("name=c2", "name="),
            ("name=c2", "name=c2 x"),
            ("completes=no name", "completes=yes name"),
            ("files=unknown", "files=1"),
            ("open=rw", "open=wr"),
            ("type=read", "type=shared"),
            ("end=9223372036854775807", "end=9223372036854775808"),
            ("phase=released", "phase=held"),
            ("clients 3\n", "clients 2\n"),
        ] {
            assert!(LIST.contains(from), "{from}");
            assert!(check(&LIST.replacen(from, to, 1)).is_err(), "{from} {to}");
        }
        let empty = LIST
            .lines()
            .take(2)
            .chain(["end clients=0 files=0 locks=0"]);
        let empty: Vec<_> = empty.map(|line| format!("{line}\n")).collect();
        assert!(check(&empty.concat()).is_err());
    }
}
