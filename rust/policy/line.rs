// SPDX-License-Identifier: GPL-2.0-only

//! The lines the control files print: `key=value` words that read with `cat` and parse with `awk`.

use super::{
    state::Tally,
    time::SECOND,
    verdict::{
        Filesystem,
        Rule, //
    },
    words::Escaped, //
};
use core::{
    fmt,
    net::IpAddr, //
};

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
    /// How many of these still have a byte that was neither reclaimed nor given up.
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

/// The name of a unit: `fsid=1234`, or `path=/srv/a dev=8:1 ip=10.0.0.5`.
pub struct Name<'a> {
    /// The unit.
    pub unit: &'a Rule,
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

/// One unit: `unit fsid=1234 phase=recovering left=37 reclaimed=10 refused=0 waits=3`.
pub struct Line<'a> {
    /// The unit and how it was named.
    pub name: Name<'a>,
    /// What was counted.
    pub counts: Counts,
    /// Nothing of its lists is outstanding any more.
    pub settled: bool,
    /// How many clients of NFSv4 that it waits for have not completed their reclaims, if it knows them.
    pub nfs4_outstanding: Option<usize>,
    /// How long the phase goes on, in nanoseconds.
    pub left: i64,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = self.name.unit;
        let row = unit.phase.means();
        let phase = match self.settled {
            true => row.settled_word,
            false => row.word,
        };
        let remaining = self.left.max(0) as u64;
        let name = &self.name;
        let counts = &self.counts;
        write!(
            f,
            "unit {name} phase={phase} left={} {counts}",
            remaining.div_ceil(SECOND)
        )?;
        match self.nfs4_outstanding {
            Some(clients) => write!(f, " nfs4_outstanding={clients}"),
            None => Ok(()),
        }
    }
}

/// What a release dropped: `locks=10 blocked=0 shares=0 files=10`.
pub struct Dropped(pub Tally);

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} files={}", self.0, self.0.files)
    }
}

/// The last line of `failover_status`: `totals units=1 hooks=live nmissed=0 taken_away=0`.
pub struct Totals {
    /// Units.
    pub units: usize,
    /// Hooks are called.
    pub live: bool,
    /// Calls that they missed.
    pub missed: usize,
    /// How often locks were taken away since clients last had the time to reclaim any.
    pub taken_away: u64,
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            units,
            live,
            missed,
            taken_away,
        } = self;
        let hooks = if *live { "live" } else { "dead" };
        write!(
            f,
            "totals units={units} hooks={hooks} nmissed={missed} taken_away={taken_away}"
        )
    }
}

/// A floating address: `ip=10.0.0.5 confirm=no clients=2 refused=0`.
pub struct FloatingIp {
    /// The address.
    pub ip: IpAddr,
    /// Locks need a confirmed record.
    pub confirm: bool,
    /// Clients that statd monitors.
    pub clients: usize,
    /// Locks that were refused for want of a record.
    pub refused: u64,
}

impl fmt::Display for FloatingIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            ip,
            confirm,
            clients,
            refused,
        } = self;
        let confirm = yes(*confirm);
        write!(
            f,
            "ip={ip} confirm={confirm} clients={clients} refused={refused}"
        )
    }
}

/// A client of a floating address: `client=10.0.0.21 monitored=yes recorded=no`.
pub struct FloatingClient {
    /// Its address.
    pub client: IpAddr,
    /// statd monitors it.
    pub monitored: bool,
    /// Its record is durable.
    pub recorded: bool,
}

impl fmt::Display for FloatingClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (monitored, recorded) = (yes(self.monitored), yes(self.recorded));
        let client = self.client;
        write!(
            f,
            "client={client} monitored={monitored} recorded={recorded}"
        )
    }
}

/// Ends the list of the clients of a floating address: `end clients=2 unrecorded=1 lost=0`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FloatingEnd {
    /// Clients that were listed.
    pub clients: usize,
    /// Those of them without a durable record.
    pub unrecorded: usize,
    /// Records that were lost.
    pub lost: u64,
}

impl fmt::Display for FloatingEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            clients,
            unrecorded,
            lost,
        } = self;
        write!(
            f,
            "end clients={clients} unrecorded={unrecorded} lost={lost}"
        )
    }
}

fn yes(is: bool) -> &'static str {
    if is {
        "yes"
    } else {
        "no"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{
        fsid::{
            Dev,
            Fsid, //
        },
        phase::Phase, //
    };
    extern crate std;
    use std::string::ToString;

    fn unit(filesystem: Filesystem, ip: Option<&str>) -> Rule {
        Rule {
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
                37_000_000_000,
                "unit fsid=1234 phase=recovering left=37 reclaimed=1 refused=0 waits=3",
            ),
            (
                unit(Filesystem::Device(dev), Some("fd00::5")),
                b"/srv/a b\\\n\xff",
                999_999_999,
                "unit path=/srv/a\\040b\\134\\012\\377 dev=8:1 ip=fd00::5 phase=recovering left=1 \
                 reclaimed=1 refused=0 waits=3",
            ),
            (
                unit(Filesystem::Export(Fsid::Number(0)), None),
                b"",
                -1,
                "unit fsid=0 phase=recovering left=0 reclaimed=1 refused=0 waits=3",
            ),
        ];
        for (unit, path, left, expected) in &cases {
            let line = Line {
                name: Name { unit, path },
                counts: Counts {
                    reclaimed: 1,
                    waits: 3,
                    ..Counts::default()
                },
                settled: false,
                nfs4_outstanding: None,
                left: *left,
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
        counts.manifest = Some(Progress {
            listed: 5,
            outstanding: 0,
        });
        for (phase, settled, nfs4) in [
            ("recovering", false, Some(1)),
            ("recovered", true, Some(0)),
            ("recovered", true, None),
        ] {
            let line = Line {
                name: Name {
                    unit: &unit,
                    path: b"",
                },
                counts,
                settled,
                nfs4_outstanding: nfs4,
                left: 37_000_000_000,
            };
            let text = line.to_string();
            assert!(text.contains(&std::format!(" phase={phase} ")));
            let end = nfs4.map_or("outstanding=0".into(), |it| {
                std::format!("outstanding=0 nfs4_outstanding={it}")
            });
            assert!(text.ends_with(&end), "{text}");
        }
    }

    #[test]
    fn prints_what_was_dropped() {
        let tally = Tally {
            files: 4,
            locks: 3,
            blocked: 2,
            shares: 1,
        };
        let line = Dropped(tally).to_string();
        assert_eq!(line, "locks=3 blocked=2 shares=1 files=4");
    }

    /// Everything is `key=value`, behind the word that tells what the line is.
    #[test]
    fn every_word_has_a_key() {
        let ip: IpAddr = "fd00::5".parse().unwrap();
        let unit = unit(Filesystem::Export(Fsid::Number(1)), Some("10.0.0.5"));
        let lines = [
            (
                Line {
                    name: Name {
                        unit: &unit,
                        path: b"",
                    },
                    counts: Counts {
                        refused: 1,
                        manifest: Some(Progress {
                            listed: 1,
                            outstanding: 1,
                        }),
                        ..Counts::default()
                    },
                    settled: false,
                    nfs4_outstanding: Some(1),
                    left: 37_000_000_000,
                }
                .to_string(),
                Some("unit"),
                "fsid ip phase left reclaimed refused waits released address unlisted conflict \
                 manifest outstanding nfs4_outstanding",
            ),
            (
                Totals {
                    units: 1,
                    live: true,
                    missed: 0,
                    taken_away: 0,
                }
                .to_string(),
                Some("totals"),
                "units hooks nmissed taken_away",
            ),
            (
                FloatingIp {
                    ip,
                    confirm: true,
                    clients: 1,
                    refused: 0,
                }
                .to_string(),
                None,
                "ip confirm clients refused",
            ),
            (
                FloatingClient {
                    client: ip,
                    monitored: true,
                    recorded: false,
                }
                .to_string(),
                None,
                "client monitored recorded",
            ),
            (
                FloatingEnd::default().to_string(),
                Some("end"),
                "clients unrecorded lost",
            ),
        ];
        for (line, kind, keys) in lines {
            let mut words = line.split(' ');
            if kind.is_some() {
                assert_eq!(words.next(), kind, "{line}");
            }
            let found: std::vec::Vec<_> =
                words.map(|word| word.split_once('=').unwrap().0).collect();
            assert_eq!(found.join(" "), keys, "{line}");
        }
    }
}
