// SPDX-License-Identifier: GPL-2.0-only

//! The verdict: is this request in a grace period?
//!
//! | phase of the unit | reclaim | new lock, test, share, open | unlock, cancel |
//! |---|---|---|---|
//! | none | as stock | as stock | as stock |
//! | released | refuse | wait | pass |
//! | recovering | pass if the client uses the right address, else refuse | wait | pass |
//! | recovering, with a manifest | and if it is listed | wait if it conflicts | pass |
//! | recovering, with a list of NFSv4 clients | and if it is listed, or nobody else misses it | wait if it conflicts | pass |
//! | recovering, with both | as the one of its protocol says | wait if either says so | pass |
//! | recovered | pass if it is listed | as stock | pass |
//!
//! What an NFSv4 client asks for to give a delegation back is always as stock: the delegation keeps
//! away whatever could conflict with it, and while it is not back, somebody else waits for it.
//!
//! "Recovered" is a recovery with a manifest of which nothing is outstanding, nor of the list of NFSv4
//! clients that belongs to it, for as long as a
//! client may repeat a reclaim whose answer it did not get.

use super::{
    address::canonical,
    fsid::{
        Dev,
        Fsid,
        HandleFsid, //
    },
    nfs4::awaited::Target,
    phase::Phase,
    state::{
        client::{
            Host,
            Transport, //
        },
        fileid::FileId,
        range::Range,
        share::Share, //
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
    /// Turn a delegation into opens and locks, to give it back.
    Return,
}

impl Op {
    /// Its word in a trace.
    pub fn word(self) -> &'static str {
        match self {
            Self::Reclaim => "reclaim",
            Self::New => "new",
            Self::Release => "give_up",
            Self::Return => "return",
        }
    }
}

/// What a request is about, as far as a manifest can tell it.
#[derive(Clone, Copy, Debug)]
pub enum What<'a> {
    /// A byte-range lock of NLM.
    Range(FileId<'a>, Range),
    /// A blocked request for such a lock, which may have been granted without the client knowing.
    Cancel(FileId<'a>, Range),
    /// A DOS share of NLM.
    Share(FileId<'a>, Share<'a>),
    /// A lock that there cannot be, as far as we understand it: it is on no list, and may conflict
    /// with anything.
    Unclear,
    /// Something of NFSv4: to the list of its clients, and to a manifest, if that is a file.
    Nfs4(Target, Option<FileId<'a>>),
    /// Anything else.
    Other,
}

impl<'a> What<'a> {
    /// The file, if it is known.
    pub fn file(&self) -> Option<FileId<'a>> {
        match self {
            Self::Range(id, _) | Self::Cancel(id, _) | Self::Share(id, _) => Some(*id),
            Self::Nfs4(_, id) => *id,
            Self::Unclear | Self::Other => None,
        }
    }
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
    /// How it came.
    pub transport: Transport,
    /// What the client calls itself, empty if that does not matter.
    pub name: &'a [u8],
    /// What is asked for, and of which file.
    pub what: What<'a>,
}

impl Request<'_> {
    /// The host that asks.
    pub fn host(&self) -> Option<Host> {
        Some(Host {
            client: self.client?,
            transport: self.transport,
            server: self.server,
        })
    }

    /// What tells the processes of a host apart, as far as a number can.
    pub fn process(&self) -> u32 {
        match self.what {
            What::Range(_, range) | What::Cancel(_, range) => range.svid,
            What::Share(_, share) => share.owner.iter().fold(0, |sum: u32, byte| {
                sum.wrapping_mul(31).wrapping_add((*byte).into())
            }),
            What::Unclear | What::Nfs4(..) | What::Other => 0,
        }
    }

    /// The same request without its range or share. No manifest is consulted: a reclaim counts as
    /// listed, a new request as conflicting.
    pub fn of_any(&self) -> Self {
        Self {
            what: What::Other,
            ..*self
        }
    }
}

/// How a unit names its filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filesystem {
    /// By the name of its export.
    Export(Fsid),
    /// By its block device, found from a path.
    Device(Dev),
}

/// What a unit is to the policy: how it is named, its phase, and when that ends.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The filesystem.
    pub filesystem: Filesystem,
    /// The only address whose clients may reclaim, if it is narrowed to one.
    pub ip: Option<IpAddr>,
    /// The phase.
    pub phase: Phase,
    /// End of the phase as it was set, in nanoseconds of the clock `now` is read from.
    pub deadline: i64,
}

/// Whether a request belongs to a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Covered {
    No,
    Yes,
    Unknown,
}

impl Rule {
    /// Whether it is named like that, whatever the phase.
    pub fn is_named(&self, filesystem: Filesystem, ip: Option<IpAddr>) -> bool {
        self.filesystem == filesystem && self.ip == ip
    }

    /// Whether the time of the phase is over.
    pub fn expired(&self, now: i64) -> bool {
        now >= self.deadline
    }

    fn covers(&self, request: &Request<'_>) -> Covered {
        self.has(request.handle, request.dev)
    }

    fn has(&self, handle: Option<HandleFsid>, dev: Option<Dev>) -> Covered {
        let same = match (self.filesystem, dev, handle) {
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
        recovery.phase.means().recovers
            && self.phase.means().departed
            && self.covers(request) == Covered::Yes
            && recovery.covers(request) == Covered::Yes
    }

    /// Whether it is known that the request is about this filesystem.
    pub fn is_of(&self, request: &Request<'_>) -> bool {
        self.covers(request) == Covered::Yes
    }

    /// Whether such a handle may be one of this filesystem, on that device if it is known.
    pub fn may_have(&self, handle: HandleFsid, dev: Option<Dev>) -> bool {
        self.has(Some(handle), dev) != Covered::No
    }

    /// Whether clients that use that address of the server may reclaim.
    pub fn is_for(&self, server: Option<IpAddr>) -> bool {
        self.ip.is_none() || self.ip == server.map(canonical)
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

impl Reason {
    /// Its word in a trace.
    pub fn word(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::Address => "address",
            Self::Unlisted => "unlisted",
        }
    }
}

impl Verdict {
    /// Its word in a trace.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stock => "stock",
            Self::Pass => "pass",
            Self::Wait => "wait",
            Self::Refuse(_) => "refuse",
        }
    }

    /// Why it was given, in a trace: why a reclaim is refused, or else the phase of the unit that
    /// decided.
    pub fn why(self, phase: Option<Phase>) -> &'static str {
        match self {
            Self::Refuse(reason) => reason.word(),
            Self::Stock | Self::Pass | Self::Wait => phase.map_or("-", |it| it.means().word),
        }
    }

    /// The value of `locks_in_grace()` that has this effect, where `others` tells whether a
    /// stock grace period is in force.
    pub fn in_grace(self, op: Op, others: bool) -> bool {
        match (self, op) {
            (Self::Wait, _) => true,
            (Self::Refuse(_), _) => false,
            (Self::Pass, Op::Reclaim) => true,
            // Until it is given back somebody waits, and nfsd does so for no longer than a lease.
            (Self::Pass, Op::Return) => false,
            (Self::Pass | Self::Stock, _) => others,
        }
    }
}

/// A unit to judge by.
pub trait Candidate {
    /// How it is named, its phase, and when that ends.
    fn rule(&self) -> &Rule;

    /// Whether the phase is over, and the unit therefore none any more.
    fn over(&self, now: i64) -> bool {
        self.rule().expired(now)
    }

    /// Whether a later recovery of the same filesystem has outdated it, and it is only there because
    /// it has promised that nothing is granted yet.
    fn only_promises(&self) -> bool {
        false
    }

    /// Whether the client held what it reclaims, if that is known.
    fn lists(&self, _request: &Request<'_>) -> Option<bool> {
        None
    }

    /// Whether it cannot be known here, and nfsd has to say what becomes of a reclaim.
    fn defers(&self, _request: &Request<'_>) -> bool {
        false
    }

    /// Whether what is asked for as new conflicts with something of another holder that is
    /// outstanding, or may do so, if that is known.
    fn conflicts(&self, _request: &Request<'_>) -> Option<bool> {
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
        let rule = item.rule();
        let covered = rule.covers(request);
        if covered == Covered::No || item.over(now) {
            continue;
        }
        if item.only_promises() && request.op != Op::New {
            continue;
        }
        match (rule.phase, request.op) {
            (Phase::Released | Phase::Recovering, Op::Release) => {
                return (Verdict::Pass, Some(item))
            }
            (Phase::Recovering, Op::Return) if covered == Covered::Yes => {
                return (Verdict::Pass, Some(item))
            }
            // Its client is about to be forgotten; or where it works is not known yet.
            (Phase::Released | Phase::Recovering, Op::Return) => break,
            (Phase::Recovering, Op::New)
                if covered == Covered::Yes && item.conflicts(request) == Some(false) =>
            {
                free = free.or(Some(item));
            }
            // A release is outdated by the recovery met before.
            (Phase::Released, Op::New) if free.is_some() => break,
            (Phase::Released | Phase::Recovering, Op::New) => return (Verdict::Wait, Some(item)),
            // Whether the reclaim belongs here will be asked again once its file is open; until
            // then an older unit must not turn it away.
            (Phase::Released | Phase::Recovering, Op::Reclaim) if covered == Covered::Unknown => {
                return (Verdict::Stock, None)
            }
            (Phase::Recovering, Op::Reclaim)
                if rule.is_for(request.server) && item.defers(request) =>
            {
                return (Verdict::Stock, Some(item))
            }
            (Phase::Recovering, Op::Reclaim) => {
                let listed = item.lists(request) != Some(false);
                if rule.is_for(request.server) && listed {
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
pub(super) mod tests;
