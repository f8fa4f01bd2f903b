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
//! Words stand in this order and none is missing. Ranges are inclusive, their end at most
//! [`MAX_OFFSET`]. The word behind the kind of a line repeats the name of the filesystem that the
//! handle has, and is not parsed. Names are escaped as [`super::super::words`] undoes it.

use crate::policy::{
    address,
    command::Invalid,
    fsid::{
        Fsid,
        HandleFsid, //
    },
    line::Escaped,
    words::Words, //
};
use core::{
    fmt,
    net::IpAddr, //
};

use super::fileid::MAX_HANDLE;

/// Largest offset of a byte (`OFFSET_MAX`); a lock to the end of the file, whatever its length
/// will be, ends there.
pub const MAX_OFFSET: u64 = i64::MAX as u64;

/// Longest caller name (`LM_MAXSTRLEN`).
pub const MAX_NAME: usize = 1024;

/// Longest owner of a share (`MAX_NETOBJ_SZ`).
pub const MAX_OWNER: usize = 1024;

/// Longest line: everything else is well below what is added here.
pub const MAX_LINE: usize = 4 * MAX_NAME + 2 * MAX_OWNER + 2 * MAX_HANDLE + 512;

/// The first line.
pub const VERSION: &str = "nfs-failover-manifest 1";

const SECOND: u64 = 1_000_000_000;

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
    },
    /// What is held at the moment in the whole network namespace. For reading only.
    Held {
        /// When it was taken, in nanoseconds of the wall clock.
        taken: u64,
    },
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let taken = |taken: &u64| (taken / SECOND, taken % SECOND);
        match self {
            Self::Released {
                fsid,
                taken: at,
                valid,
            } => {
                let (seconds, rest) = taken(at);
                write!(
                    f,
                    "unit fsid={fsid} phase=released taken={seconds}.{rest:09} valid={valid}"
                )
            }
            Self::Held { taken: at } => {
                let (seconds, rest) = taken(at);
                write!(f, "unit all phase=held taken={seconds}.{rest:09}")
            }
        }
    }
}

/// Who asked for a lock or share of which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who<'a> {
    /// The file handle.
    pub handle: &'a [u8],
    /// Address of the client.
    pub client: IpAddr,
    /// What the client calls itself.
    pub name: &'a [u8],
    /// Address of the server that the client used, [`None`] if lockd does not know it.
    pub server: Option<IpAddr>,
}

/// A byte-range lock, or the request for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The client's process.
    pub svid: u32,
    /// For writing.
    pub exclusive: bool,
    /// First byte.
    pub start: u64,
    /// Last byte.
    pub end: u64,
}

/// A DOS share reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share<'a> {
    /// The client's name for the holder.
    pub owner: &'a [u8],
    /// Access mode, as in the protocol.
    pub access: u32,
    /// Deny mode, as in the protocol.
    pub mode: u32,
}

impl Share<'_> {
    /// Whether both cannot be had at once (`nlmsvc_share_file()`).
    pub fn conflicts(&self, other: &Self) -> bool {
        self.access & other.mode != 0 || self.mode & other.access != 0
    }
}

/// What the last line counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// `lock` lines.
    pub locks: u64,
    /// `blocked` lines.
    pub blocked: u64,
    /// `share` lines.
    pub shares: u64,
}

/// One line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// [`VERSION`].
    Version,
    /// What the manifest is about.
    Unit(Header),
    /// A lock that is held.
    Lock(Who<'a>, Range),
    /// A request that waits for a lock.
    Blocked(Who<'a>, Range),
    /// A share that is held.
    Share(Who<'a>, Share<'a>),
    /// The manifest is complete.
    End(Totals),
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
    /// Parses one line, its newline included.
    pub fn parse(line: &[u8], buffers: &'a mut Buffers) -> Result<Self, Invalid> {
        if !line.ends_with(b"\n") {
            return Err(Invalid);
        }
        if line.strip_suffix(b"\n") == Some(VERSION.as_bytes()) {
            return Ok(Self::Version);
        }
        let mut words = Words::new(line)?;
        let parsed = match words.next_raw().ok_or(Invalid)? {
            b"unit" => Self::Unit(header(&mut words)?),
            b"lock" => {
                let who = who(&mut words, &mut buffers.handle, &mut buffers.name)?;
                Self::Lock(who, range(&mut words)?)
            }
            b"blocked" => {
                let who = who(&mut words, &mut buffers.handle, &mut buffers.name)?;
                Self::Blocked(who, range(&mut words)?)
            }
            b"share" => {
                let who = who(&mut words, &mut buffers.handle, &mut buffers.name)?;
                let owner = hex(value(&mut words, b"owner=")?, &mut buffers.owner)?;
                let access = u32::try_from(number(value(&mut words, b"access=")?)?);
                let mode = u32::try_from(number(value(&mut words, b"mode=")?)?);
                Self::Share(
                    who,
                    Share {
                        owner,
                        access: access.map_err(|_| Invalid)?,
                        mode: mode.map_err(|_| Invalid)?,
                    },
                )
            }
            b"end" => Self::End(Totals {
                locks: number(value(&mut words, b"locks=")?)?,
                blocked: number(value(&mut words, b"blocked=")?)?,
                shares: number(value(&mut words, b"shares=")?)?,
            }),
            _ => return Err(Invalid),
        };
        words.finish()?;
        Ok(parsed)
    }
}

fn value<'a>(words: &mut Words<'a>, key: &[u8]) -> Result<&'a [u8], Invalid> {
    words
        .next_raw()
        .and_then(|word| word.strip_prefix(key))
        .ok_or(Invalid)
}

fn number(word: &[u8]) -> Result<u64, Invalid> {
    if word.is_empty() || word.len() > 19 || !word.iter().all(u8::is_ascii_digit) {
        return Err(Invalid);
    }
    // 19 digits fit into 64 bits.
    Ok(word
        .iter()
        .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

fn hex<'b>(word: &[u8], buffer: &'b mut [u8]) -> Result<&'b [u8], Invalid> {
    let digit = |byte: u8| char::from(byte).to_digit(16).ok_or(Invalid);
    if word.len() % 2 != 0 {
        return Err(Invalid);
    }
    let buffer = buffer.get_mut(..word.len() / 2).ok_or(Invalid)?;
    for (byte, pair) in buffer.iter_mut().zip(word.chunks_exact(2)) {
        *byte = ((digit(pair[0])? << 4) | digit(pair[1])?) as u8;
    }
    Ok(buffer)
}

fn ip(word: &[u8]) -> Result<IpAddr, Invalid> {
    address::parse(word).ok_or(Invalid)
}

fn taken(word: &[u8]) -> Result<u64, Invalid> {
    let point = word.iter().position(|byte| *byte == b'.').ok_or(Invalid)?;
    let (seconds, rest) = (&word[..point], &word[point + 1..]);
    if rest.len() != 9 {
        return Err(Invalid);
    }
    number(seconds)?
        .checked_mul(SECOND)
        .and_then(|nanoseconds| nanoseconds.checked_add(number(rest).ok()?))
        .ok_or(Invalid)
}

fn header(words: &mut Words<'_>) -> Result<Header, Invalid> {
    let name = words.next_raw().ok_or(Invalid)?;
    let phase = value(words, b"phase=")?;
    let taken = taken(value(words, b"taken=")?)?;
    match (name, phase) {
        (b"all", b"held") => Ok(Header::Held { taken }),
        (name, b"released") => Ok(Header::Released {
            fsid: name
                .strip_prefix(b"fsid=")
                .and_then(Fsid::parse)
                .ok_or(Invalid)?,
            taken,
            valid: u32::try_from(number(value(words, b"valid=")?)?).map_err(|_| Invalid)?,
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
        client,
        name,
        server,
    })
}

fn range(words: &mut Words<'_>) -> Result<Range, Invalid> {
    let svid = u32::try_from(number(value(words, b"svid=")?)?).map_err(|_| Invalid)?;
    let exclusive = match value(words, b"type=")? {
        b"write" => true,
        b"read" => false,
        _ => return Err(Invalid),
    };
    let start = number(value(words, b"start=")?)?;
    let end = number(value(words, b"end=")?)?;
    if start > end || end > MAX_OFFSET {
        return Err(Invalid);
    }
    Ok(Range {
        svid,
        exclusive,
        start,
        end,
    })
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    /// In larger steps than bytes: a manifest has millions of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 64];
        for part in self.0.chunks(text.len() / 2) {
            let text = &mut text[..2 * part.len()];
            for (pair, byte) in text.chunks_exact_mut(2).zip(part) {
                pair[0] = DIGITS[usize::from(byte >> 4)];
                pair[1] = DIGITS[usize::from(byte & 15)];
            }
            f.write_str(core::str::from_utf8(text).map_err(|_| fmt::Error)?)?;
        }
        Ok(())
    }
}

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match HandleFsid::decode(self.handle) {
            Some(fsid) => write!(f, "{fsid}")?,
            None => f.write_str("fsid=-")?,
        }
        write!(f, " fh={} client={} name=", Hex(self.handle), self.client)?;
        if self.name.is_empty() {
            f.write_str("-")?;
        } else {
            write!(f, "{}", Escaped(self.name))?;
        }
        match self.server {
            Some(server) => write!(f, " server={server}"),
            None => f.write_str(" server=-"),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.exclusive { "write" } else { "read" };
        write!(
            f,
            "svid={} type={kind} start={} end={}",
            self.svid, self.start, self.end
        )
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "locks={} blocked={} shares={}",
            self.locks, self.blocked, self.shares
        )
    }
}

/// The line, with its newline.
impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version => writeln!(f, "{VERSION}"),
            Self::Unit(header) => writeln!(f, "{header}"),
            Self::Lock(who, range) => writeln!(f, "lock {who} {range}"),
            Self::Blocked(who, range) => writeln!(f, "blocked {who} {range}"),
            Self::Share(who, share) => writeln!(
                f,
                "share {who} owner={} access={} mode={}",
                Hex(share.owner),
                share.access,
                share.mode
            ),
            Self::End(totals) => writeln!(f, "end {totals}"),
        }
    }
}

#[cfg(test)]
mod tests;
