// SPDX-License-Identifier: GPL-2.0-only

//! What may be written to the control files.

use super::{
    address,
    fsid::Fsid,
    words::{
        decimal,
        Invalid,
        Words, //
    },
};
use core::net::IpAddr;

/// Longest phase, in seconds.
pub const MAX_SECONDS: u32 = 24 * 3600;

/// How long a release keeps new requests waiting unless told otherwise, in seconds.
pub const DEFAULT_FENCE: u32 = 90;

/// Longest path, as `PATH_MAX`.
pub const MAX_PATH: usize = 4096;

/// `nlm_unlock`: `<fsid> [fence=<seconds>]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unlock {
    /// The unit.
    pub fsid: Fsid,
    /// How long new requests wait; 0 only drops the locks.
    pub fence: u32,
}

impl Unlock {
    /// Parses what was written.
    pub fn parse(written: &[u8]) -> Result<Self, Invalid> {
        let mut words = Words::new(written)?;
        let fsid = fsid(&mut words)?;
        let fence = match words.next_raw() {
            None => DEFAULT_FENCE,
            Some(word) => seconds(word.strip_prefix(b"fence=").ok_or(Invalid)?)?,
        };
        words.finish()?;
        Ok(Self { fsid, fence })
    }
}

/// `nlm_set_igrace`: `<fsid> [<seconds>]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetGrace {
    /// The unit.
    pub fsid: Fsid,
    /// Length of the recovery; 0 ends it, [`None`] is lockd's grace period.
    pub seconds: Option<u32>,
}

impl SetGrace {
    /// Parses what was written.
    pub fn parse(written: &[u8]) -> Result<Self, Invalid> {
        let mut words = Words::new(written)?;
        let fsid = fsid(&mut words)?;
        let seconds = words.next_raw().map(seconds).transpose()?;
        words.finish()?;
        Ok(Self { fsid, seconds })
    }
}

/// `resume_ip`: `<ip> <path> [<seconds>]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResumeIp<'a> {
    /// The address whose clients may reclaim.
    pub ip: IpAddr,
    /// A path on the filesystem.
    pub path: &'a [u8],
    /// Length of the recovery; 0 ends it, [`None`] is lockd's grace period.
    pub seconds: Option<u32>,
}

impl<'a> ResumeIp<'a> {
    /// Parses what was written; `buffer` receives the path.
    pub fn parse(written: &[u8], buffer: &'a mut [u8]) -> Result<Self, Invalid> {
        let mut words = Words::new(written)?;
        let ip = address::parse(words.next_raw().ok_or(Invalid)?).ok_or(Invalid)?;
        let path = words.next_into(buffer)?;
        if path.first() != Some(&b'/') || path.len() >= MAX_PATH {
            return Err(Invalid);
        }
        let seconds = words.next_raw().map(seconds).transpose()?;
        words.finish()?;
        Ok(Self { ip, path, seconds })
    }
}

/// `floating_ips`: `+<ip> [confirm]`, `-<ip> [<client>]`, `=<ip> <client>`, `!<ip> <client>` or
/// `?<ip> [<client>]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloatingIps {
    /// The address moves between nodes.
    Add {
        /// The address.
        ip: IpAddr,
        /// Locks are granted through it only to clients whose record is confirmed.
        confirm: bool,
    },
    /// The address does not move, or not to or from this node any more.
    Remove {
        /// The address.
        ip: IpAddr,
    },
    /// What is known of a client of the address changes.
    Client {
        /// The address it uses.
        ip: IpAddr,
        /// Its own address.
        client: IpAddr,
        /// How.
        change: Change,
    },
    /// The clients of the address are to be listed.
    List {
        /// The address.
        ip: IpAddr,
        /// Only this one.
        only: Option<IpAddr>,
    },
}

/// What may be said of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Its record is durable.
    Recorded,
    /// It has no record any more.
    Lost,
    /// It needs none.
    Forgotten,
}

impl FloatingIps {
    /// Parses what was written.
    pub fn parse(written: &[u8]) -> Result<Self, Invalid> {
        let mut words = Words::new(written)?;
        let (sign, ip) = words
            .next_raw()
            .and_then(<[u8]>::split_first)
            .ok_or(Invalid)?;
        let ip = address::parse(ip).ok_or(Invalid)?;
        let client = |word| address::parse(word).ok_or(Invalid);
        let about = |word, change| -> Result<Self, Invalid> {
            let client = client(word)?;
            Ok(Self::Client { ip, client, change })
        };
        let command = match (sign, words.next_raw()) {
            (b'+', None) => Self::Add { ip, confirm: false },
            (b'+', Some(b"confirm")) => Self::Add { ip, confirm: true },
            (b'-', None) => Self::Remove { ip },
            (b'?', only) => Self::List {
                ip,
                only: only.map(client).transpose()?,
            },
            (b'=', Some(word)) => about(word, Change::Recorded)?,
            (b'!', Some(word)) => about(word, Change::Lost)?,
            (b'-', Some(word)) => about(word, Change::Forgotten)?,
            _ => return Err(Invalid),
        };
        words.finish()?;
        Ok(command)
    }
}

/// A question to `lock_manifest`, `nfs4_clients` or `nfs4_held`: `<fsid>`.
pub fn export(written: &[u8]) -> Result<Fsid, Invalid> {
    let mut words = Words::new(written)?;
    let fsid = fsid(&mut words)?;
    words.finish()?;
    Ok(fsid)
}

fn fsid(words: &mut Words<'_>) -> Result<Fsid, Invalid> {
    Fsid::parse(words.next_raw().ok_or(Invalid)?).ok_or(Invalid)
}

fn seconds(word: &[u8]) -> Result<u32, Invalid> {
    decimal(word, 5)
        .and_then(|value| u32::try_from(value).ok())
        .filter(|value| *value <= MAX_SECONDS)
        .ok_or(Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const N: Fsid = Fsid::Number(1234);

    #[test]
    fn unlock() {
        let cases: &[(&[u8], Option<u32>)] = &[
            (b"1234", Some(90)),
            (b"1234\n", Some(90)),
            (b" 1234 \n", Some(90)),
            (b"1234 fence=0\n", Some(0)),
            (b"1234 fence=86400", Some(86400)),
            (b"1234 fence=86401", None),
            (b"1234 fence=", None),
            (b"1234 fence=-1", None),
            (b"1234 fence=1s", None),
            (b"1234 fence=99999999999999999999", None),
            (b"1234 10", None),
            (b"1234 fence=1 fence=2", None),
            (b"1234\n1234\n", None),
            (b"\n", None),
            (b"", None),
            (b"\0", None),
            (b"1234\0", None),
            (b"x", None),
        ];
        for (written, expected) in cases {
            assert_eq!(
                Unlock::parse(written),
                expected
                    .map(|fence| Unlock { fsid: N, fence })
                    .ok_or(Invalid),
                "{written:?}"
            );
        }
    }

    #[test]
    fn of_an_export() {
        for good in [&b"1234"[..], b"1234\n", b" 1234 \n"] {
            assert_eq!(export(good), Ok(N), "{good:?}");
        }
        for bad in [&b""[..], b"\n", b"x", b"1234 1", b"1234\n\n", b"1234\0"] {
            assert_eq!(export(bad), Err(Invalid), "{bad:?}");
        }
    }

    #[test]
    fn set_grace() {
        let cases: &[(&[u8], Option<Option<u32>>)] = &[
            (b"1234\n", Some(None)),
            (b"1234 0\n", Some(Some(0))),
            (b"1234\t45", Some(Some(45))),
            (b"1234 45 45", None),
            (b"1234 fence=45", None),
            (b"45s", None),
        ];
        for (written, expected) in cases {
            assert_eq!(
                SetGrace::parse(written),
                expected
                    .map(|seconds| SetGrace { fsid: N, seconds })
                    .ok_or(Invalid),
                "{written:?}"
            );
        }
    }

    type Resume = (&'static str, &'static [u8], Option<u32>);

    #[test]
    fn resume_ip() {
        let cases: &[(&[u8], Option<Resume>)] = &[
            (b"10.0.0.5 /srv/a\n", Some(("10.0.0.5", b"/srv/a", None))),
            (b"fd00::5 /srv/a 30", Some(("fd00::5", b"/srv/a", Some(30)))),
            (
                b"10.0.0.5 /srv/a\\040b 0",
                Some(("10.0.0.5", b"/srv/a b", Some(0))),
            ),
            (b"10.0.0.5", None),
            (b"10.0.0.5 srv", None),
            (b"/srv/a 10.0.0.5", None),
            (b"10.0.0.5 /srv/a 30 x", None),
            (b"10.0.0.5 /srv/a\\", None),
            (b"0.0.0.0 /srv/a", None),
        ];
        for (written, expected) in cases {
            let mut buffer = [0; 32];
            assert_eq!(
                ResumeIp::parse(written, &mut buffer),
                expected
                    .map(|(ip, path, seconds)| ResumeIp {
                        ip: ip.parse().unwrap(),
                        path,
                        seconds
                    })
                    .ok_or(Invalid),
                "{written:?}"
            );
        }
    }

    #[test]
    fn a_path_as_long_as_the_buffer_fits() {
        let mut written = [b'x'; 10 + 32];
        written[..10].copy_from_slice(b"10.0.0.5 /");
        let mut buffer = [0; 33];
        assert!(ResumeIp::parse(&written, &mut buffer).is_ok());
        assert!(ResumeIp::parse(&written, &mut buffer[..32]).is_err());
    }

    #[test]
    fn floating_ips() {
        let ip = IpAddr::from([10, 0, 0, 5]);
        let v6: IpAddr = "fd00::5".parse().unwrap();
        let client = IpAddr::from([10, 0, 0, 7]);
        let about = |change| FloatingIps::Client { ip, client, change };
        let cases: &[(&[u8], Option<FloatingIps>)] = &[
            (
                b"+10.0.0.5\n",
                Some(FloatingIps::Add { ip, confirm: false }),
            ),
            (
                b"+fd00::5",
                Some(FloatingIps::Add {
                    ip: v6,
                    confirm: false,
                }),
            ),
            (
                b"+10.0.0.5 confirm\n",
                Some(FloatingIps::Add { ip, confirm: true }),
            ),
            (b"-10.0.0.5\n", Some(FloatingIps::Remove { ip })),
            (b"=10.0.0.5 10.0.0.7", Some(about(Change::Recorded))),
            (b"!10.0.0.5 10.0.0.7\n", Some(about(Change::Lost))),
            (b"-10.0.0.5 10.0.0.7\n", Some(about(Change::Forgotten))),
            (b"?10.0.0.5\n", Some(FloatingIps::List { ip, only: None })),
            (
                b"?10.0.0.5 10.0.0.7",
                Some(FloatingIps::List {
                    ip,
                    only: Some(client),
                }),
            ),
            (b"?10.0.0.5 c1\n", None),
            (b"!10.0.0.5\n", None),
            (b"10.0.0.5\n", None),
            (b"+ 10.0.0.5\n", None),
            (b"+10.0.0.5 refuse\n", None),
            (b"+10.0.0.5 confirm now\n", None),
            (b"-10.0.0.5 confirm\n", None),
            (b"=10.0.0.5\n", None),
            (b"=10.0.0.5 c1\n", None),
            (b"=10.0.0.5 10.0.0.7 10.0.0.8\n", None),
            (b"+0.0.0.0\n", None),
            (b"+\n", None),
            (b"\n", None),
            (b"", None),
        ];
        for (written, expected) in cases {
            assert_eq!(FloatingIps::parse(written).ok(), *expected, "{written:?}");
        }
    }
}
