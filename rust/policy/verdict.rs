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
    /// A blocked request for such a lock, which may have been granted without the client knowing.
    Cancel(FileId<'a>, Range),
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

impl Request<'_> {
    /// The same for anything there, so that no manifest is looked at: a reclaim counts as listed
    /// and something new as conflicting.
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

    /// Whether the client held what it reclaims, if that is known.
    fn lists(&self, _request: &Request<'_>) -> Option<bool> {
        None
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
        let unit = item.unit();
        let covered = unit.covers(request);
        if unit.expired(now) || covered == Covered::No {
            continue;
        }
        match (unit.phase, request.op) {
            (_, Op::Release) => return (Verdict::Pass, Some(item)),
            (Phase::Recovering, Op::New)
                if covered == Covered::Yes && item.conflicts(request) == Some(false) =>
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
                let listed = item.lists(request) != Some(false);
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
mod tests;
