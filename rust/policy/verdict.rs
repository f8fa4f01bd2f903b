// SPDX-License-Identifier: GPL-2.0-only

//! The verdict: is this request in a grace period?
//!
//! | phase of the unit | reclaim | new lock, test, share, open | unlock, cancel |
//! |---|---|---|---|
//! | none | as stock | as stock | as stock |
//! | released | refuse | wait | pass |
//! | recovering | pass if the client uses the right address, else refuse | wait | pass |

use super::{
    address::canonical,
    fsid::{
        Dev,
        Fsid,
        HandleFsid, //
    },
};
use core::net::IpAddr;

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Get back a lock, share or open it held before.
    Reclaim,
    /// Something that could conflict with what has not been reclaimed yet.
    New,
    /// Give up a lock, share or blocked request.
    Release,
}

/// One request, as far as the policy needs to know it.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// What is asked for.
    pub op: Op,
    /// The filesystem part of the file handle, [`None`] if it is not one of nfsd's.
    pub handle: Option<HandleFsid>,
    /// The device of the filesystem, [`None`] while it is not known.
    pub dev: Option<Dev>,
    /// The server address the client used.
    pub server: Option<IpAddr>,
}

/// How a unit names its filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filesystem {
    /// By the name of its export.
    Export(Fsid),
    /// By its block device, found from a path.
    Device(Dev),
}

/// Phase of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It has left this node: its locks were dropped and are reclaimed elsewhere.
    Released,
    /// It has come to this node: its clients reclaim their locks.
    Recovering,
}

/// A unit in a phase.
#[derive(Clone, Copy, Debug)]
pub struct Unit {
    /// The filesystem.
    pub filesystem: Filesystem,
    /// The only address whose clients may reclaim, if it is narrowed to one.
    pub ip: Option<IpAddr>,
    /// The phase.
    pub phase: Phase,
    /// End of the phase, in nanoseconds of the clock `now` is read from.
    pub deadline: i64,
}

/// Whether a request belongs to a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Covered {
    No,
    Yes,
    Unknown,
}

impl Unit {
    /// Whether both name the same unit, whatever the phase.
    pub fn same(&self, other: &Self) -> bool {
        self.filesystem == other.filesystem && self.ip == other.ip
    }

    /// Whether the phase is over.
    pub fn expired(&self, now: i64) -> bool {
        now >= self.deadline
    }

    fn covers(&self, request: &Request) -> Covered {
        let same = match (self.filesystem, request.dev, request.handle) {
            (Filesystem::Export(fsid), _, handle) => handle.is_some_and(|handle| handle.is(&fsid)),
            (Filesystem::Device(dev), Some(of_request), _) => dev == of_request,
            (Filesystem::Device(dev), None, Some(HandleFsid::Device(of_handle))) => {
                dev == of_handle
            }
            (Filesystem::Device(_), None, Some(_)) => return Covered::Unknown,
            (Filesystem::Device(_), None, None) => false,
        };
        if same {
            Covered::Yes
        } else {
            Covered::No
        }
    }

    /// Whether a recovery that `request` was judged by outdates this unit for good: a release of
    /// the same filesystem must not come back when the recovery ends.
    pub fn outdated_by(&self, recovery: &Self, request: &Request) -> bool {
        recovery.phase == Phase::Recovering
            && self.phase == Phase::Released
            && self.covers(request) == Covered::Yes
            && recovery.covers(request) == Covered::Yes
    }

    fn admits(&self, request: &Request) -> bool {
        self.ip.is_none() || self.ip == request.server.map(canonical)
    }
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No unit is concerned: as stock.
    Stock,
    /// As if the grace period were there for this request to use it.
    Pass,
    /// As in a grace period: the client retries by itself.
    Wait,
    /// A reclaim that comes to the wrong place.
    Refuse,
}

impl Verdict {
    /// The value of `locks_in_grace()` that has this effect, where `others` tells whether a
    /// stock grace period is in force.
    pub fn in_grace(self, op: Op, others: bool) -> bool {
        match (self, op) {
            (Self::Wait, _) => true,
            (Self::Refuse, _) => false,
            (Self::Pass, Op::Reclaim) => true,
            (Self::Pass | Self::Stock, _) => others,
        }
    }
}

/// Judges `request` by `units`, which stand in the order in which they were set.
///
/// Units can overlap, one filesystem being named by fsid and by path or reached through several
/// addresses. What was set last counts: a recovery outdates an earlier release and the reverse.
/// Of several recoveries of a filesystem, one that admits the client is enough for a reclaim.
///
/// Also returns the unit that decided.
pub fn judge<'a, T: AsRef<Unit>>(
    units: impl DoubleEndedIterator<Item = &'a T>,
    request: &Request,
    now: i64,
) -> (Verdict, Option<&'a T>) {
    let mut refused = None;
    for item in units.rev() {
        let unit = item.as_ref();
        let covered = unit.covers(request);
        if unit.expired(now) || covered == Covered::No {
            continue;
        }
        match (unit.phase, request.op) {
            (_, Op::Release) => return (Verdict::Pass, Some(item)),
            (_, Op::New) => return (Verdict::Wait, Some(item)),
            // Whether the reclaim belongs here will be asked again once its file is open; until
            // then an older unit must not turn it away.
            (_, Op::Reclaim) if covered == Covered::Unknown => return (Verdict::Stock, None),
            (Phase::Recovering, Op::Reclaim) if unit.admits(request) => {
                return (Verdict::Pass, Some(item));
            }
            (Phase::Recovering, Op::Reclaim) => refused = refused.or(Some(item)),
            (Phase::Released, Op::Reclaim) => {
                refused = refused.or(Some(item));
                break;
            }
        }
    }
    match refused {
        Some(item) => (Verdict::Refuse, Some(item)),
        None => (Verdict::Stock, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl AsRef<Unit> for Unit {
        fn as_ref(&self) -> &Unit {
            self
        }
    }

    const NOW: i64 = 100;
    const DEV: Dev = Dev { major: 8, minor: 1 };
    const OTHER_DEV: Dev = Dev { major: 8, minor: 2 };
    const FSID: Fsid = Fsid::Number(1234);
    const HANDLE: HandleFsid = HandleFsid::Number(1234);
    const OTHER_HANDLE: HandleFsid = HandleFsid::Number(5678);

    fn ip(name: &str) -> Option<IpAddr> {
        Some(name.parse().unwrap())
    }

    fn unit(phase: Phase, filesystem: Filesystem, ip: Option<IpAddr>) -> Unit {
        Unit {
            filesystem,
            ip,
            phase,
            deadline: NOW + 1,
        }
    }

    fn request(op: Op) -> Request {
        Request {
            op,
            handle: Some(HANDLE),
            dev: Some(DEV),
            server: ip("10.0.0.5"),
        }
    }

    fn verdict(units: &[Unit], request: &Request) -> Verdict {
        judge(units.iter(), request, NOW).0
    }

    /// The table of the module documentation, over the whole product of its inputs.
    #[test]
    fn table() {
        let filesystems = [Filesystem::Export(FSID), Filesystem::Device(DEV)];
        let phases = [None, Some(Phase::Released), Some(Phase::Recovering)];
        let addresses = [None, ip("10.0.0.5"), ip("10.0.0.6")];
        let servers = [None, ip("10.0.0.5"), ip("::ffff:10.0.0.5")];
        let requests = [(HANDLE, DEV), (OTHER_HANDLE, OTHER_DEV)];
        for phase in phases {
            for filesystem in filesystems {
                for address in addresses {
                    for server in servers {
                        for (handle, dev) in requests {
                            for op in [Op::Reclaim, Op::New, Op::Release] {
                                let units: &[Unit] = &match phase {
                                    Some(phase) => [unit(phase, filesystem, address)],
                                    None => [unit(
                                        Phase::Released,
                                        Filesystem::Device(Dev { major: 0, minor: 0 }),
                                        None,
                                    )],
                                };
                                let request = Request {
                                    op,
                                    handle: Some(handle),
                                    dev: Some(dev),
                                    server,
                                };
                                let right = address.is_none()
                                    || (address == ip("10.0.0.5") && server.is_some());
                                let expected = match (phase, handle == HANDLE, op) {
                                    (None, _, _) | (_, false, _) => Verdict::Stock,
                                    (Some(Phase::Released), true, Op::Reclaim) => Verdict::Refuse,
                                    (Some(Phase::Recovering), true, Op::Reclaim) => {
                                        if right {
                                            Verdict::Pass
                                        } else {
                                            Verdict::Refuse
                                        }
                                    }
                                    (Some(_), true, Op::New) => Verdict::Wait,
                                    (Some(_), true, Op::Release) => Verdict::Pass,
                                };
                                assert_eq!(
                                    verdict(units, &request),
                                    expected,
                                    "{units:?} {request:?}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_phase_ends_at_its_deadline() {
        let mut over = unit(Phase::Recovering, Filesystem::Export(FSID), None);
        for (deadline, expected) in [
            (NOW + 1, Verdict::Wait),
            (NOW, Verdict::Stock),
            (NOW - 1, Verdict::Stock),
            (i64::MAX, Verdict::Wait),
        ] {
            over.deadline = deadline;
            assert_eq!(verdict(&[over], &request(Op::New)), expected, "{deadline}");
        }
    }

    #[test]
    fn what_was_set_last_counts() {
        let export = Filesystem::Export(FSID);
        let device = Filesystem::Device(DEV);
        let released = unit(Phase::Released, export, None);
        let recovering = unit(Phase::Recovering, device, None);
        let reclaim = request(Op::Reclaim);
        assert_eq!(verdict(&[released, recovering], &reclaim), Verdict::Pass);
        assert_eq!(verdict(&[recovering, released], &reclaim), Verdict::Refuse);
        for units in [[released, recovering], [recovering, released]] {
            assert_eq!(verdict(&units, &request(Op::New)), Verdict::Wait);
        }
    }

    #[test]
    fn a_recovery_outdates_a_release_of_its_filesystem() {
        let released = unit(Phase::Released, Filesystem::Export(FSID), None);
        let recovering = unit(Phase::Recovering, Filesystem::Device(DEV), None);
        let here = request(Op::New);
        let unknown = Request { dev: None, ..here };
        let elsewhere = Request {
            handle: Some(OTHER_HANDLE),
            ..here
        };
        assert!(released.outdated_by(&recovering, &here));
        assert!(!released.outdated_by(&recovering, &unknown));
        assert!(!released.outdated_by(&recovering, &elsewhere));
        assert!(!recovering.outdated_by(&released, &here));
        let reclaim = Request {
            op: Op::Reclaim,
            ..unknown
        };
        assert_eq!(verdict(&[released, recovering], &reclaim), Verdict::Stock);
    }

    #[test]
    fn one_recovery_that_admits_the_client_is_enough() {
        let device = Filesystem::Device(DEV);
        let right = unit(Phase::Recovering, device, ip("10.0.0.5"));
        let wrong = unit(Phase::Recovering, device, ip("10.0.0.6"));
        let released = unit(Phase::Released, device, None);
        let reclaim = request(Op::Reclaim);
        assert_eq!(verdict(&[right, wrong], &reclaim), Verdict::Pass);
        assert_eq!(verdict(&[wrong, right], &reclaim), Verdict::Pass);
        assert_eq!(verdict(&[released, right, wrong], &reclaim), Verdict::Pass);
        assert_eq!(
            verdict(&[right, released, wrong], &reclaim),
            Verdict::Refuse
        );
        assert_eq!(verdict(&[wrong, wrong], &reclaim), Verdict::Refuse);
    }

    #[test]
    fn an_unknown_device_waits_and_is_never_refused() {
        let units = [unit(
            Phase::Recovering,
            Filesystem::Device(DEV),
            ip("10.0.0.9"),
        )];
        let cases = [
            (Some(HANDLE), Op::New, Verdict::Wait),
            (Some(HANDLE), Op::Reclaim, Verdict::Stock),
            (Some(HANDLE), Op::Release, Verdict::Pass),
            (Some(HandleFsid::Device(DEV)), Op::Reclaim, Verdict::Refuse),
            (Some(HandleFsid::Device(OTHER_DEV)), Op::New, Verdict::Stock),
            (None, Op::New, Verdict::Stock),
        ];
        for (handle, op, expected) in cases {
            let request = Request {
                handle,
                dev: None,
                ..request(op)
            };
            assert_eq!(verdict(&units, &request), expected, "{request:?}");
        }
    }

    /// Whatever a unit says, a stock grace period stays in force on top, and a verdict that was
    /// missed (the stock answer with our entry on the list: in grace) makes clients wait.
    #[test]
    fn answers() {
        let all = [
            Verdict::Stock,
            Verdict::Pass,
            Verdict::Wait,
            Verdict::Refuse,
        ];
        for verdict in all {
            for op in [Op::Reclaim, Op::New, Op::Release] {
                let alone = verdict.in_grace(op, false);
                assert_eq!(
                    alone,
                    verdict == Verdict::Wait || (verdict == Verdict::Pass && op == Op::Reclaim)
                );
                assert_eq!(verdict.in_grace(op, true), verdict != Verdict::Refuse);
            }
        }
    }
}
