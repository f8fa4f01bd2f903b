// SPDX-License-Identifier: GPL-2.0-only

//! The lines the control files print: `key=value` words that read with `cat` and parse with `awk`.

use super::verdict::{
    Filesystem,
    Phase,
    Unit, //
};
use core::fmt;

/// What has been counted for a unit since it entered its phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Reclaims that were granted.
    pub reclaimed: u64,
    /// Reclaims that were refused.
    pub refused: u64,
    /// Requests that were told to wait; a client that retries is counted each time.
    pub waits: u64,
    /// Why reclaims were refused; printed if any was.
    pub reasons: Reasons,
    /// The manifest, if there is one.
    pub manifest: Option<Progress>,
}

/// Refused reclaims by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasons {
    /// The unit has left this node.
    pub released: u64,
    /// The client uses another address.
    pub address: u64,
    /// The manifest does not have it.
    pub unlisted: u64,
}

/// How far a recovery with a manifest is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Locks and shares on the manifest.
    pub listed: u64,
    /// Those of them of which anything is neither reclaimed nor given up.
    pub outstanding: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            reclaimed,
            refused,
            waits,
            reasons,
            manifest,
        } = self;
        write!(f, "reclaimed={reclaimed} refused={refused} waits={waits}")?;
        if *refused > 0 {
            let Reasons {
                released,
                address,
                unlisted,
            } = reasons;
            // What the unit let through, lockd refused.
            let conflict = refused.saturating_sub(released + address + unlisted);
            write!(
                f,
                " released={released} address={address} unlisted={unlisted} conflict={conflict}"
            )?;
        }
        if let Some(Progress {
            listed,
            outstanding,
        }) = manifest
        {
            write!(f, " manifest={listed} outstanding={outstanding}")?;
        }
        Ok(())
    }
}

/// What a release dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Files that were held for clients.
    pub files: u64,
    /// Byte-range locks.
    pub locks: u64,
    /// Blocked lock requests.
    pub blocked: u64,
    /// DOS share reservations.
    pub shares: u64,
}

impl Dropped {
    /// Adds what another pass dropped.
    pub fn add(&mut self, more: &Self) {
        self.files += more.files;
        self.locks += more.locks;
        self.blocked += more.blocked;
        self.shares += more.shares;
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            files,
            locks,
            blocked,
            shares,
        } = self;
        write!(
            f,
            "locks={locks} blocked={blocked} shares={shares} files={files}"
        )
    }
}

/// The name of a unit: `fsid=1234`, or `path=/srv/a dev=8:1 ip=10.0.0.5`.
pub struct Name<'a> {
    /// The unit.
    pub unit: &'a Unit,
    /// The path it was named by, if it was.
    pub path: &'a [u8],
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.unit.filesystem {
            Filesystem::Export(fsid) => write!(f, "fsid={fsid}")?,
            Filesystem::Device(dev) => write!(f, "path={} dev={dev}", Escaped(self.path))?,
        }
        match self.unit.ip {
            Some(ip) => write!(f, " ip={ip}"),
            None => Ok(()),
        }
    }
}

/// A word whose blanks, backslashes and unprintable bytes are written as `\ooo`.
pub(super) struct Escaped<'a>(pub(super) &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &byte in self.0 {
            if byte.is_ascii_graphic() && byte != b'\\' {
                write!(f, "{}", char::from(byte))?;
            } else {
                write!(f, "\\{byte:03o}")?;
            }
        }
        Ok(())
    }
}

/// One unit: `unit fsid=1234 phase=recovering left=37 reclaimed=10 refused=0 waits=3`.
pub struct Line<'a> {
    /// The unit and how it was named.
    pub name: Name<'a>,
    /// What was counted.
    pub counts: Counts,
    /// The time now, in nanoseconds.
    pub now: i64,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.name.unit;
        let over = self
            .counts
            .manifest
            .is_some_and(|manifest| manifest.outstanding == 0);
        let phase = match unit.phase {
            Phase::Released => "released",
            Phase::Recovering if over => "recovered",
            Phase::Recovering => "recovering",
        };
        let left = unit.deadline.saturating_sub(self.now).max(0) as u64;
        let name = &self.name;
        let counts = &self.counts;
        write!(
            f,
            "unit {name} phase={phase} left={} {counts}",
            left.div_ceil(1_000_000_000)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::fsid::{
        Dev,
        Fsid, //
    };
    extern crate std;
    use std::string::ToString;

    fn unit(filesystem: Filesystem, ip: Option<&str>) -> Unit {
        Unit {
            filesystem,
            ip: ip.map(|name| name.parse().unwrap()),
            phase: Phase::Recovering,
            deadline: 37_000_000_000,
        }
    }

    #[test]
    fn prints_units() {
        let dev = Dev { major: 8, minor: 1 };
        let cases = [
            (
                unit(Filesystem::Export(Fsid::Number(1234)), None),
                &b""[..],
                0,
                "unit fsid=1234 phase=recovering left=37 reclaimed=1 refused=0 waits=3",
            ),
            (
                unit(Filesystem::Device(dev), Some("fd00::5")),
                b"/srv/a b\\\n\xff",
                36_000_000_001,
                "unit path=/srv/a\\040b\\134\\012\\377 dev=8:1 ip=fd00::5 phase=recovering left=1 \
                 reclaimed=1 refused=0 waits=3",
            ),
            (
                unit(Filesystem::Export(Fsid::Number(0)), None),
                b"",
                i64::MAX,
                "unit fsid=0 phase=recovering left=0 reclaimed=1 refused=0 waits=3",
            ),
        ];
        for (unit, path, now, expected) in &cases {
            let line = Line {
                name: Name { unit, path },
                counts: Counts {
                    reclaimed: 1,
                    waits: 3,
                    ..Counts::default()
                },
                now: *now,
            };
            assert_eq!(line.to_string(), *expected);
        }
    }

    #[test]
    fn prints_refusals_and_manifests() {
        let mut counts = Counts {
            refused: 10,
            reasons: Reasons {
                released: 1,
                address: 2,
                unlisted: 3,
            },
            manifest: Some(Progress {
                listed: 5,
                outstanding: 1,
            }),
            ..Counts::default()
        };
        assert_eq!(
            counts.to_string(),
            "reclaimed=0 refused=10 waits=0 released=1 address=2 unlisted=3 conflict=4 \
             manifest=5 outstanding=1"
        );
        let unit = unit(Filesystem::Export(Fsid::Number(1)), None);
        for (phase, outstanding) in [("recovering", 1), ("recovered", 0)] {
            counts.manifest = Some(Progress {
                listed: 5,
                outstanding,
            });
            let line = Line {
                name: Name {
                    unit: &unit,
                    path: b"",
                },
                counts,
                now: 0,
            };
            assert!(line.to_string().contains(&std::format!(" phase={phase} ")));
        }
    }
}
