// SPDX-License-Identifier: GPL-2.0-only

//! The verdict: is this request in a grace period?
//!
//! | phase of the unit | reclaim | new lock, test, share, open | unlock, cancel |
//! |---|---|---|---|
//! | none | as stock | as stock | as stock |
//! | released | refuse | wait | pass |
//! | recovering | pass if the client uses the right address, else refuse | wait | pass |
//! | recovering, with a manifest | and if it is listed | wait if it conflicts | pass |
//! | recovered | pass if it is listed | as stock | pass |
//!
//! "Recovered" is a recovery with a manifest of which nothing is outstanding, for as long as a
//! client may repeat a reclaim whose answer it did not get.

use super::{
    address::canonical,
    fsid::{
        Dev,
        Fsid,
        HandleFsid, //
    },
    manifest::{
        fileid::FileId,
        text::{
            Range,
            Share, //
        }, //
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

/// What a request is about, as far as a manifest can tell it.
#[derive(Clone, Copy, Debug)]
pub enum What<'a> {
    /// A byte-range lock of NLM.
    Range(FileId<'a>, Range),
    /// A DOS share of NLM.
    Share(FileId<'a>, Share<'a>),
    /// Anything else.
    Other,
}

/// One request, as far as the policy needs to know it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What is asked for.
    pub op: Op,
    /// The filesystem part of the file handle, [`None`] if it is not one of nfsd's.
    pub handle: Option<HandleFsid>,
    /// The device of the filesystem, [`None`] while it is not known.
    pub dev: Option<Dev>,
    /// The server address the client used.
    pub server: Option<IpAddr>,
    /// The client's address.
    pub client: Option<IpAddr>,
    /// What is asked for, and of which file.
    pub what: What<'a>,
}

/// What a manifest has to say of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Nothing is outstanding any more.
    pub over: bool,
    /// The client held what it asks for.
    pub listed: bool,
    /// It conflicts with something outstanding of another holder, or may do so.
    pub conflicts: bool,
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

    fn covers(&self, request: &Request<'_>) -> Covered {
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
    pub fn outdated_by(&self, recovery: &Self, request: &Request<'_>) -> bool {
        recovery.phase == Phase::Recovering
            && self.phase == Phase::Released
            && self.covers(request) == Covered::Yes
            && recovery.covers(request) == Covered::Yes
    }

    fn admits(&self, request: &Request<'_>) -> bool {
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
    Refuse(Reason),
}

/// Why a reclaim is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The unit has left this node.
    Released,
    /// The client uses another address than the one that came with the unit.
    Address,
    /// The manifest does not have that lock for that client.
    Unlisted,
}

impl Verdict {
    /// The value of `locks_in_grace()` that has this effect, where `others` tells whether a
    /// stock grace period is in force.
    pub fn in_grace(self, op: Op, others: bool) -> bool {
        match (self, op) {
            (Self::Wait, _) => true,
            (Self::Refuse(_), _) => false,
            (Self::Pass, Op::Reclaim) => true,
            (Self::Pass | Self::Stock, _) => others,
        }
    }
}

/// A unit to judge by.
pub trait Candidate {
    /// The unit.
    fn unit(&self) -> &Unit;

    /// What its manifest says, if it has one.
    fn standing(&self, _request: &Request<'_>) -> Option<Standing> {
        None
    }
}

/// Judges `request` by `units`, which stand in the order in which they were set.
///
/// Units can overlap, one filesystem being named by fsid and by path or reached through several
/// addresses. What was set last counts: a recovery outdates an earlier release and the reverse.
/// Of several recoveries of a filesystem, one that admits the client is enough for a reclaim, and
/// one that makes it wait for a new request.
///
/// Also returns the unit that decided.
pub fn judge<'a, T: Candidate>(
    units: impl DoubleEndedIterator<Item = &'a T>,
    request: &Request<'_>,
    now: i64,
) -> (Verdict, Option<&'a T>) {
    let mut refused = None;
    let mut free = None;
    for item in units.rev() {
        let unit = item.unit();
        let covered = unit.covers(request);
        if unit.expired(now) || covered == Covered::No {
            continue;
        }
        let standing = match (unit.phase, covered) {
            (Phase::Recovering, Covered::Yes) => item.standing(request),
            _ => None,
        };
        match (unit.phase, request.op) {
            (_, Op::Release) => return (Verdict::Pass, Some(item)),
            (Phase::Recovering, Op::New)
                if standing.is_some_and(|said| said.over || !said.conflicts) =>
            {
                free = free.or(Some(item));
            }
            // A release is outdated by the recovery met before.
            (Phase::Released, Op::New) if free.is_some() => break,
            (_, Op::New) => return (Verdict::Wait, Some(item)),
            // Whether the reclaim belongs here will be asked again once its file is open; until
            // then an older unit must not turn it away.
            (_, Op::Reclaim) if covered == Covered::Unknown => return (Verdict::Stock, None),
            (Phase::Recovering, Op::Reclaim) => {
                let listed = standing.is_none_or(|said| said.listed);
                if unit.admits(request) && listed {
                    return (Verdict::Pass, Some(item));
                }
                let reason = if listed {
                    Reason::Address
                } else {
                    Reason::Unlisted
                };
                refused = refused.or(Some((reason, item)));
            }
            (Phase::Released, Op::Reclaim) => {
                refused = refused.or(Some((Reason::Released, item)));
                break;
            }
        }
    }
    match refused {
        Some((reason, item)) => (Verdict::Refuse(reason), Some(item)),
        None => (Verdict::Stock, free),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Candidate for Unit {
        fn unit(&self) -> &Unit {
            self
        }
    }

    /// A unit whose manifest always says the same.
    struct Listed(Unit, Standing);

    impl Candidate for Listed {
        fn unit(&self) -> &Unit {
            &self.0
        }

        fn standing(&self, _request: &Request<'_>) -> Option<Standing> {
            Some(self.1)
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

    fn request(op: Op) -> Request<'static> {
        Request {
            op,
            handle: Some(HANDLE),
            dev: Some(DEV),
            server: ip("10.0.0.5"),
            client: ip("10.0.0.21"),
            what: What::Other,
        }
    }

    fn verdict(units: &[Unit], request: &Request<'_>) -> Verdict {
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
                                    ..super::tests::request(op)
                                };
                                let right = address.is_none()
                                    || (address == ip("10.0.0.5") && server.is_some());
                                let expected = match (phase, handle == HANDLE, op) {
                                    (None, _, _) | (_, false, _) => Verdict::Stock,
                                    (Some(Phase::Released), true, Op::Reclaim) => {
                                        Verdict::Refuse(Reason::Released)
                                    }
                                    (Some(Phase::Recovering), true, Op::Reclaim) => {
                                        if right {
                                            Verdict::Pass
                                        } else {
                                            Verdict::Refuse(Reason::Address)
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
        assert_eq!(
            verdict(&[recovering, released], &reclaim),
            Verdict::Refuse(Reason::Released)
        );
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
        let address = Verdict::Refuse(Reason::Address);
        assert_eq!(verdict(&[right, released, wrong], &reclaim), address);
        assert_eq!(verdict(&[wrong, wrong], &reclaim), address);
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
            (
                Some(HandleFsid::Device(DEV)),
                Op::Reclaim,
                Verdict::Refuse(Reason::Address),
            ),
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

    /// The rows with a manifest, over everything it can say.
    #[test]
    fn manifest() {
        let export = Filesystem::Export(FSID);
        for bits in 0..16 {
            let [over, listed, conflicts, right] = [1, 2, 4, 8].map(|bit| bits & bit != 0);
            let said = Standing {
                over,
                listed,
                conflicts,
            };
            let address = if right { "10.0.0.5" } else { "10.0.0.6" };
            let units = [Listed(unit(Phase::Recovering, export, ip(address)), said)];
            let verdict = |op| judge(units.iter(), &request(op), NOW).0;
            let reclaim = match (listed, right) {
                (true, true) => Verdict::Pass,
                (true, false) => Verdict::Refuse(Reason::Address),
                (false, _) => Verdict::Refuse(Reason::Unlisted),
            };
            let new = if over || !conflicts {
                Verdict::Stock
            } else {
                Verdict::Wait
            };
            assert_eq!(verdict(Op::Reclaim), reclaim, "{said:?}");
            assert_eq!(verdict(Op::New), new, "{said:?}");
            assert_eq!(verdict(Op::Release), Verdict::Pass, "{said:?}");
        }
    }

    #[test]
    fn a_manifest_frees_from_its_own_recovery_only() {
        let free = Standing {
            over: false,
            listed: true,
            conflicts: false,
        };
        let blocks = Standing {
            conflicts: true,
            listed: false,
            ..free
        };
        let export = Filesystem::Export(FSID);
        let with = |phase, said| Listed(unit(phase, export, None), said);
        let recovering = |said| with(Phase::Recovering, said);
        let released = || with(Phase::Released, free);
        let verdict = |units: &[Listed], op| judge(units.iter(), &request(op), NOW).0;
        for units in [
            [recovering(free), recovering(blocks)],
            [recovering(blocks), recovering(free)],
        ] {
            assert_eq!(verdict(&units, Op::New), Verdict::Wait);
            assert_eq!(verdict(&units, Op::Reclaim), Verdict::Pass);
        }
        // A manifest that stayed with a released unit frees from nothing.
        assert_eq!(verdict(&[released()], Op::New), Verdict::Wait);
        let back = [released(), recovering(free)];
        assert_eq!(verdict(&back, Op::New), Verdict::Stock);
        let gone = [recovering(free), released()];
        assert_eq!(verdict(&gone, Op::New), Verdict::Wait);
        assert_eq!(
            verdict(&gone, Op::Reclaim),
            Verdict::Refuse(Reason::Released)
        );
    }

    /// Whatever a unit says, a stock grace period stays in force on top, and a verdict that was
    /// missed (the stock answer with our entry on the list: in grace) makes clients wait.
    #[test]
    fn answers() {
        let all = [
            Verdict::Stock,
            Verdict::Pass,
            Verdict::Wait,
            Verdict::Refuse(Reason::Released),
        ];
        for verdict in all {
            for op in [Op::Reclaim, Op::New, Op::Release] {
                let alone = verdict.in_grace(op, false);
                assert_eq!(
                    alone,
                    verdict == Verdict::Wait || (verdict == Verdict::Pass && op == Op::Reclaim)
                );
                let refused = matches!(verdict, Verdict::Refuse(_));
                assert_eq!(verdict.in_grace(op, true), !refused);
            }
        }
    }
}
