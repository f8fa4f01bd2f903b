// SPDX-License-Identifier: GPL-2.0-only

//! The lines of a manifest.
//!
//! ```text
//! nfs-failover-manifest 1
//! unit fsid=1234 phase=released taken=1763731234.000000001 valid=90
//! lock fsid=1234 fh=0100... client=10.0.0.21 name=c1 server=10.0.0.5 svid=7 type=write start=0 end=9
//! blocked fsid=1234 fh=0100... client=10.0.0.22 name=c2 server=10.0.0.5 svid=1 type=read start=0 end=9
//! share fsid=1234 fh=0100... client=10.0.0.23 name=c3 server=10.0.0.5 owner=00ff access=1 mode=2
//! end locks=1 blocked=1 shares=1
//! ```
//!
//! If NFSv4 clients had something, too, which is on a list of its own, the first line ends with `2` and the
//! second with `nfs4=listed`: who does not know that list must not believe in this one.
//!
//! Words stand in this order and none is missing. The line of a holder ends with `proto=udp` if it
//! does not use TCP, and with `vers=3` or `vers=1` if that is not 4. Ranges are inclusive, their end at most
//! `OFFSET_MAX`. The word behind the kind of a line repeats the name of the filesystem that the
//! handle has, and is not parsed. Names are escaped as [`crate::policy::words`] undoes it.

use crate::policy::{
    address,
    fsid::{
        Fsid,
        HandleFsid, //
    },
    state::{
        client::{
            Host,
            Transport, //
        },
        fileid::MAX_HANDLE,
        range::Range,
        share::Share,
        Tally, //
    },
    time::Stamp,
    words::{
        hex,
        number,
        value,
        Escaped,
        Hex,
        Invalid,
        Words, //
    },
};
use core::{
    fmt,
    net::IpAddr, //
};

/// Longest caller name (`LM_MAXSTRLEN`).
pub const MAX_NAME: usize = 1024;

/// Longest owner of a share (`MAX_NETOBJ_SZ`).
pub const MAX_OWNER: usize = 1024;

/// Longest line: everything else is well below what is added here.
pub const MAX_LINE: usize = 4 * MAX_NAME + 2 * MAX_OWNER + 2 * MAX_HANDLE + 512;

/// What the first line begins with.
const TITLE: &str = "nfs-failover-manifest";

/// Which kind of manifest it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// On it is all that was held.
    Whole,
    /// What NFSv4 clients had is on another list.
    BesideNfs4,
}

impl Version {
    fn parse(line: &[u8]) -> Option<Self> {
        let number = line.strip_prefix(TITLE.as_bytes())?;
        match number {
            b" 1\n" => Some(Self::Whole),
            b" 2\n" => Some(Self::BesideNfs4),
            _ => None,
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::Whole => 1,
            Self::BesideNfs4 => 2,
        }
    }
}

/// What a manifest is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// What a unit held when it was released.
    Released {
        /// The unit.
        fsid: Fsid,
        /// When it was released, in nanoseconds of the wall clock.
        taken: u64,
        /// For how many seconds from then on the releasing node grants nothing.
        valid: u32,
        /// What NFSv4 clients had is on a list of its own, and this one is worth nothing without it.
        nfs4: bool,
    },
    /// What is held at the moment in the whole network namespace. For reading only.
    Held {
        /// When it was taken, in nanoseconds of the wall clock.
        taken: u64,
    },
}

impl Header {
    /// Whether what NFSv4 clients had is on a list of its own.
    pub fn lists_nfs4(&self) -> bool {
        matches!(self, Self::Released { nfs4: true, .. })
    }

    /// The first line of a manifest that has this as its second.
    pub fn version(&self) -> Version {
        match self.lists_nfs4() {
            true => Version::BesideNfs4,
            false => Version::Whole,
        }
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Released {
                fsid,
                taken,
                valid,
                nfs4,
            } => {
                let taken = Stamp(*taken);
                write!(
                    f,
                    "unit fsid={fsid} phase=released taken={taken} valid={valid}"
                )?;
                match nfs4 {
                    true => f.write_str(" nfs4=listed"),
                    false => Ok(()),
                }
            }
            Self::Held { taken } => write!(f, "unit all phase=held taken={}", Stamp(*taken)),
        }
    }
}

/// Who asked for a lock or share of which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who<'a> {
    /// The file handle.
    pub handle: &'a [u8],
    /// The host.
    pub host: Host,
    /// What the client calls itself.
    pub name: &'a [u8],
}

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// The first line.
    Version(Version),
    /// What the manifest is about.
    Unit(Header),
    /// A lock that is held.
    Lock(Who<'a>, Range),
    /// A request that waits for a lock.
    Blocked(Who<'a>, Range),
    /// A share that is held.
    Share(Who<'a>, Share<'a>),
    /// The manifest is complete.
    End(Tally),
}

/// Where [`Line::parse`] puts what it decodes.
pub struct Buffers {
    handle: [u8; MAX_HANDLE],
    name: [u8; MAX_NAME],
    owner: [u8; MAX_OWNER],
}

impl Buffers {
    /// Creates buffers.
    pub const fn new() -> Self {
        Self {
            handle: [0; MAX_HANDLE],
            name: [0; MAX_NAME],
            owner: [0; MAX_OWNER],
        }
    }
}

impl Default for Buffers {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> Line<'a> {
    /// Who an entry is of; [`None`] if it is no entry.
    pub fn who(&self) -> Option<&Who<'a>> {
        match self {
            Self::Lock(who, _) | Self::Blocked(who, _) | Self::Share(who, _) => Some(who),
            Self::Version(_) | Self::Unit(_) | Self::End(_) => None,
        }
    }

    /// Counts an entry.
    pub fn count(&self, tally: &mut Tally) {
        match self {
            Self::Lock(..) => tally.locks += 1,
            Self::Blocked(..) => tally.blocked += 1,
            Self::Share(..) => tally.shares += 1,
            Self::Version(_) | Self::Unit(_) | Self::End(_) => {}
        }
    }

    /// Parses one line, its newline included.
    pub fn parse(line: &[u8], buffers: &'a mut Buffers) -> Result<Self, Invalid> {
        if !line.ends_with(b"\n") {
            return Err(Invalid);
        }
        if let Some(version) = Version::parse(line) {
            return Ok(Self::Version(version));
        }
        let mut words = Words::new(line)?;
        let parsed = match words.next_raw().ok_or(Invalid)? {
            b"unit" => Self::Unit(header(&mut words)?),
            b"lock" => {
                let mut who = who(&mut words, &mut buffers.handle, &mut buffers.name)?;
                let range = Range::parse(&mut words)?;
                who.host.transport = transport(&mut words)?;
                Self::Lock(who, range)
            }
            b"blocked" => {
                let mut who = who(&mut words, &mut buffers.handle, &mut buffers.name)?;
                let range = Range::parse(&mut words)?;
                who.host.transport = transport(&mut words)?;
                Self::Blocked(who, range)
            }
            b"share" => {
                let mut who = who(&mut words, &mut buffers.handle, &mut buffers.name)?;
                let share = Share::parse(&mut words, &mut buffers.owner)?;
                who.host.transport = transport(&mut words)?;
                Self::Share(who, share)
            }
            b"end" => Self::End(Tally::parse(&mut words)?),
            _ => return Err(Invalid),
        };
        words.finish()?;
        Ok(parsed)
    }
}

fn ip(word: &[u8]) -> Result<IpAddr, Invalid> {
    address::parse(word).ok_or(Invalid)
}

fn header(words: &mut Words<'_>) -> Result<Header, Invalid> {
    let name = words.next_raw().ok_or(Invalid)?;
    let phase = value(words, b"phase=")?;
    let Stamp(taken) = Stamp::parse(value(words, b"taken=")?)?;
    match (name, phase) {
        (b"all", b"held") => Ok(Header::Held { taken }),
        (name, b"released") => Ok(Header::Released {
            fsid: name
                .strip_prefix(b"fsid=")
                .and_then(Fsid::parse)
                .ok_or(Invalid)?,
            taken,
            valid: u32::try_from(number(value(words, b"valid=")?)?).map_err(|_| Invalid)?,
            nfs4: match words.next_raw() {
                None => false,
                Some(b"nfs4=listed") => true,
                Some(_) => return Err(Invalid),
            },
        }),
        _ => Err(Invalid),
    }
}

fn who<'b>(
    words: &mut Words<'_>,
    handle: &'b mut [u8],
    name: &'b mut [u8],
) -> Result<Who<'b>, Invalid> {
    // The name of the filesystem is in the handle as well.
    words.next_raw().ok_or(Invalid)?;
    let handle = hex(value(words, b"fh=")?, handle)?;
    let client = ip(value(words, b"client=")?)?;
    let name = match value(words, b"name=")? {
        b"-" => &[],
        word => Words::new(word)?.next_into(name)?,
    };
    let server = match value(words, b"server=")? {
        b"-" => None,
        word => Some(ip(word)?),
    };
    Ok(Who {
        handle,
        host: Host {
            client,
            // Comes last.
            transport: Transport::USUAL,
            server,
        },
        name,
    })
}

/// What the line ends with, if it is not usual.
fn transport(words: &mut Words<'_>) -> Result<Transport, Invalid> {
    let mut transport = Transport::USUAL;
    let mut word = words.next_raw();
    if let Some(proto) = word.and_then(|word| word.strip_prefix(b"proto=")) {
        transport.udp = match proto {
            b"udp" => true,
            b"tcp" => false,
            _ => return Err(Invalid),
        };
        word = words.next_raw();
    }
    if let Some(version) = word.and_then(|word| word.strip_prefix(b"vers=")) {
        transport.version = match version {
            b"1" => 1,
            b"3" => 3,
            b"4" => 4,
            _ => return Err(Invalid),
        };
        word = words.next_raw();
    }
    match word {
        Some(_) => Err(Invalid),
        None => Ok(transport),
    }
}

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match HandleFsid::decode(self.handle) {
            Some(fsid) => write!(f, "{fsid}")?,
            None => f.write_str("fsid=-")?,
        }
        let (handle, client) = (Hex(self.handle), self.host.client);
        write!(f, " fh={handle} client={client} name=")?;
        if self.name.is_empty() {
            f.write_str("-")?;
        } else {
            write!(f, "{}", Escaped(self.name))?;
        }
        match self.host.server {
            Some(server) => write!(f, " server={server}"),
            None => f.write_str(" server=-"),
        }
    }
}

/// The line, with its newline.
impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => writeln!(f, "{TITLE} {}", version.number()),
            Self::Unit(header) => writeln!(f, "{header}"),
            Self::Lock(who, range) => writeln!(f, "lock {who} {range}{}", who.host.transport),
            Self::Blocked(who, range) => {
                writeln!(f, "blocked {who} {range}{}", who.host.transport)
            }
            Self::Share(who, share) => writeln!(f, "share {who} {share}{}", who.host.transport),
            Self::End(tally) => writeln!(f, "end {tally}"),
        }
    }
}

#[cfg(test)]
mod tests;
