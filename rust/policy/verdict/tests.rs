// SPDX-License-Identifier: GPL-2.0-only

//! Tests of `verdict.rs`.

use super::*;
extern crate std;
use std::vec::Vec;

impl Candidate for Rule {
    fn rule(&self) -> &Rule {
        self
    }
}

/// What a manifest says of any request.
#[derive(Clone, Copy, Debug)]
struct Said {
    listed: bool,
    conflicts: bool,
}

/// A unit whose manifest always says the same.
struct Listed(Rule, Said);

impl Candidate for Listed {
    fn rule(&self) -> &Rule {
        &self.0
    }

    fn lists(&self, _request: &Request<'_>) -> Option<bool> {
        Some(self.1.listed)
    }

    fn conflicts(&self, _request: &Request<'_>) -> Option<bool> {
        Some(self.1.conflicts)
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

fn unit(phase: Phase, filesystem: Filesystem, ip: Option<IpAddr>) -> Rule {
    Rule {
        filesystem,
        ip,
        phase,
        deadline: NOW + 1,
    }
}

/// All of them.
pub(in crate::policy) const OPS: [Op; 4] = [Op::Reclaim, Op::New, Op::Release, Op::Return];

/// All of them.
pub(in crate::policy) const VERDICTS: [Verdict; 6] = [
    Verdict::Stock,
    Verdict::Pass,
    Verdict::Wait,
    Verdict::Refuse(Reason::Released),
    Verdict::Refuse(Reason::Address),
    Verdict::Refuse(Reason::Unlisted),
];

/// A request for something of which no manifest tells.
pub(in crate::policy) fn request(op: Op) -> Request<'static> {
    Request {
        op,
        handle: Some(HANDLE),
        dev: Some(DEV),
        server: ip("10.0.0.5"),
        client: ip("10.0.0.21"),
        transport: Transport::USUAL,
        name: b"",
        what: What::Other,
    }
}

fn verdict(units: &[Rule], request: &Request<'_>) -> Verdict {
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
                        for op in OPS {
                            let units: &[Rule] = &match phase {
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
                                ..self::request(op)
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
                                (Some(Phase::Released), true, Op::Return) => Verdict::Stock,
                                (Some(Phase::Recovering), true, Op::Return) => Verdict::Pass,
                            };
                            assert_eq!(verdict(units, &request), expected, "{units:?} {request:?}");
                        }
                    }
                }
            }
        }
    }
}

/// A unit that cannot know.
struct Deferring(Listed);

impl Candidate for Deferring {
    fn rule(&self) -> &Rule {
        self.0.rule()
    }

    fn lists(&self, request: &Request<'_>) -> Option<bool> {
        self.0.lists(request)
    }

    fn conflicts(&self, request: &Request<'_>) -> Option<bool> {
        self.0.conflicts(request)
    }

    fn defers(&self, _request: &Request<'_>) -> bool {
        true
    }
}

/// Only a reclaim by the right address, and only where it would be refused otherwise, is left to nfsd.
#[test]
fn what_cannot_be_known_is_left_to_nfsd() {
    let right = request(Op::Reclaim);
    let wrong = Request {
        server: ip("192.0.2.99"),
        ..right
    };
    let rule = unit(Phase::Recovering, Filesystem::Export(FSID), right.server);
    let said = Said {
        listed: false,
        conflicts: true,
    };
    let judged = |request: &Request<'_>| {
        let units = [Deferring(Listed(rule, said))];
        let (verdict, unit) = judge(units.iter(), request, NOW);
        // It is a reclaim on that unit all the same.
        assert!(unit.is_some());
        verdict
    };
    assert_eq!(judged(&right), Verdict::Stock);
    assert_eq!(judged(&wrong), Verdict::Refuse(Reason::Unlisted));
    assert_eq!(judged(&request(Op::New)), Verdict::Wait);
    assert_eq!(judged(&request(Op::Release)), Verdict::Pass);
}

/// A unit with a manifest that is only asked about ranges.
struct Ranges(Listed);

impl Candidate for Ranges {
    fn rule(&self) -> &Rule {
        self.0.rule()
    }

    fn lists(&self, request: &Request<'_>) -> Option<bool> {
        match request.what {
            What::Range(..) => self.0.lists(request),
            _ => Some(true),
        }
    }

    fn conflicts(&self, request: &Request<'_>) -> Option<bool> {
        match request.what {
            What::Range(..) => self.0.conflicts(request),
            _ => Some(true),
        }
    }
}

/// What has left is turned away before it is known what is listed, and nothing else is.
#[test]
fn of_any() {
    let range = Range {
        svid: 1,
        exclusive: true,
        start: 0,
        end: 9,
    };
    let mut kinds = Vec::new();
    for phase in [Phase::Released, Phase::Recovering] {
        for address in [None, ip("10.0.0.5"), ip("10.0.0.6")] {
            for (listed, conflicts) in [(false, false), (false, true), (true, false), (true, true)]
            {
                let said = Said { listed, conflicts };
                kinds.push((unit(phase, Filesystem::Export(FSID), address), said));
            }
        }
    }
    let gone = |(verdict, unit): (Verdict, Option<&Ranges>)| match verdict {
        Verdict::Refuse(reason) => reason == Reason::Released,
        Verdict::Wait => unit.is_some_and(|unit| unit.rule().phase == Phase::Released),
        Verdict::Stock | Verdict::Pass => false,
    };
    for older in &kinds {
        for newer in &kinds {
            let units = [older, newer].map(|(unit, said)| Ranges(Listed(*unit, *said)));
            for op in OPS {
                let request = Request {
                    what: What::Range(FileId::of(&[]), range),
                    ..request(op)
                };
                assert_eq!(
                    gone(judge(units.iter(), &request.of_any(), NOW)),
                    gone(judge(units.iter(), &request, NOW)),
                    "{older:?} {newer:?} {op:?}"
                );
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

/// A unit that counts no more, but for what it has promised.
struct Promise(Rule, bool);

impl Candidate for Promise {
    fn rule(&self) -> &Rule {
        &self.0
    }

    fn only_promises(&self) -> bool {
        self.1
    }
}

#[test]
fn an_outdated_release_keeps_its_promise() {
    let released = Promise(unit(Phase::Released, Filesystem::Export(FSID), None), true);
    let recovering = |address| unit(Phase::Recovering, Filesystem::Device(DEV), ip(address));
    let right = Promise(recovering("10.0.0.5"), false);
    let wrong = Promise(recovering("10.0.0.6"), false);
    let refused = Verdict::Refuse(Reason::Address);
    let cases: &[(&[&Promise], Verdict)] = &[
        (&[&released], Verdict::Stock),
        (&[&released, &right], Verdict::Pass),
        // It does not come between older recoveries and the client.
        (&[&right, &released], Verdict::Pass),
        (&[&wrong, &released], refused),
    ];
    for (units, reclaim) in cases {
        let verdict = |op| judge(units.iter().copied(), &request(op), NOW).0;
        assert_eq!(verdict(Op::New), Verdict::Wait);
        assert_eq!(verdict(Op::Reclaim), *reclaim);
    }
    let elsewhere = Request {
        handle: Some(OTHER_HANDLE),
        ..request(Op::New)
    };
    let units = [released];
    assert_eq!(judge(units.iter(), &elsewhere, NOW).0, Verdict::Stock);
    let given_up = judge(units.iter(), &request(Op::Release), NOW).0;
    assert_eq!(given_up, Verdict::Stock);
    assert_eq!(
        judge(units.iter(), &request(Op::New), NOW + 1).0,
        Verdict::Stock
    );
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
    for bits in 0..8 {
        let [listed, conflicts, right] = [1, 2, 4].map(|bit| bits & bit != 0);
        let said = Said { listed, conflicts };
        let address = if right { "10.0.0.5" } else { "10.0.0.6" };
        let units = [Listed(unit(Phase::Recovering, export, ip(address)), said)];
        let verdict = |op| judge(units.iter(), &request(op), NOW).0;
        let reclaim = match (listed, right) {
            (true, true) => Verdict::Pass,
            (true, false) => Verdict::Refuse(Reason::Address),
            (false, _) => Verdict::Refuse(Reason::Unlisted),
        };
        let new = match conflicts {
            true => Verdict::Wait,
            false => Verdict::Stock,
        };
        assert_eq!(verdict(Op::Reclaim), reclaim, "{said:?}");
        assert_eq!(verdict(Op::New), new, "{said:?}");
        assert_eq!(verdict(Op::Release), Verdict::Pass, "{said:?}");
    }
}

#[test]
fn a_manifest_frees_from_its_own_recovery_only() {
    let free = Said {
        listed: true,
        conflicts: false,
    };
    let blocks = Said {
        listed: false,
        conflicts: true,
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

/// Whatever a unit says, a stock grace period stays in force on top, but for what is under a delegation,
/// and a verdict that was missed (the stock answer with our entry on the list: in grace) makes clients wait.
#[test]
fn answers() {
    let all = [
        Verdict::Stock,
        Verdict::Pass,
        Verdict::Wait,
        Verdict::Refuse(Reason::Released),
    ];
    for verdict in all {
        for op in OPS {
            let alone = verdict.in_grace(op, false);
            assert_eq!(
                alone,
                verdict == Verdict::Wait || (verdict == Verdict::Pass && op == Op::Reclaim)
            );
            let refused = matches!(verdict, Verdict::Refuse(_));
            let returned = verdict == Verdict::Pass && op == Op::Return;
            assert_eq!(verdict.in_grace(op, true), !refused && !returned);
        }
    }
}
