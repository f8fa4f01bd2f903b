// SPDX-License-Identifier: GPL-2.0-only

//! Manifests on their way: read from a released unit, given to a recovering one.

use super::{
    capture::Capture,
    history::History,
    manifest::Manifest,
    reader::Reader,
    registry::{
        end_expired,
        rearm,
        State,
        REGISTRY,
        SECOND, //
    },
    release::holds_nfs4,
    sweep::sweep,
    table::copy_without,
    unit::{
        Id,
        Unit, //
    }, //
};
use crate::{
    policy::{
        fsid::Fsid,
        manifest::{
            freshness::{
                self,
                Doubt, //
            },
            text::Header, //
        },
    },
    sys::{
        errno,
        net::Net,
        timer,
        watchers, //
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// Gives a manifest to its unit, which recovers.
///
/// Returns `ESTALE`, `ETIMEDOUT` or `ERANGE` if it may not be believed, `ENOENT` if the unit does not
/// recover, `EEXIST` if the unit has one and `EBUSY` if its clients have begun to reclaim without.
pub(crate) fn offer(net: Net, manifest: Arc<Manifest>) -> Result {
    let Header::Released {
        fsid, taken, valid, ..
    } = manifest.header()
    else {
        return Err(EINVAL);
    };
    let mut registry = REGISTRY.lock();
    registry.pending.say();
    end_expired(&mut registry)?;
    let found =
        copy_without(|unit| unit.net() != net || !unit.names(fsid) || !unit.phase().recovers)?;
    let history = registry.history.as_mut().ok_or(ENODEV)?;
    may_believe(history, net, fsid, taken, valid)?;
    let unit = found.units.first().ok_or(ENOENT)?;
    if unit.has_manifest() || unit.awaited().is_some() {
        return Err(EEXIST);
    }
    if unit.counts().reclaimed > 0 {
        return Err(EBUSY);
    }
    history.remember(net, fsid, taken);
    history.believed(net, fsid);
    let listed = manifest.progress().listed;
    // Looked at above, with the lock held.
    if !unit.populate(&manifest) {
        return Err(EEXIST);
    }
    // What is listed there is newer than what this node gave away.
    unit.forget_promise();
    watchers::tell(net);
    pr_info!(
        "{}\n",
        format_args!("fsid={fsid}{net}: manifest of {listed} locks and shares")
    );
    if manifest.over() {
        unit.mark_settled();
    }
    rearm(&registry);
    Ok(())
}

fn may_believe(history: &History, net: Net, fsid: Fsid, taken: u64, valid: u32) -> Result {
    is_fresh(taken, valid, history.newest(net, fsid))
}

/// Whether the fence of something that was taken then goes on; the errors are those of [`offer`].
pub(super) fn is_valid(taken: u64, valid: u32) -> Result {
    is_fresh(taken, valid, 0)
}

fn is_fresh(taken: u64, valid: u32, newest: u64) -> Result {
    freshness::judge(taken, valid, timer::wall(), newest).map_err(|doubt| match doubt {
        Doubt::Outdated => errno::stale(),
        Doubt::Expired => ETIMEDOUT,
        Doubt::Future => ERANGE,
    })
}

/// Remembers that something that was taken then of a unit is believed; the errors are those of
/// [`offer`] if it may not be.
pub(super) fn believe(
    registry: &mut State,
    net: Net,
    fsid: Fsid,
    taken: u64,
    valid: u32,
) -> Result {
    let history = registry.history.as_mut().ok_or(ENODEV)?;
    may_believe(history, net, fsid, taken, valid)?;
    history.remember(net, fsid, taken);
    Ok(())
}

/// Promises that nothing is granted here while what was `taken` of a released unit is valid.
/// `REGISTRY` is held.
pub(super) fn promise(unit: &Unit, fsid: Fsid, taken: u64) -> Header {
    let left = unit.end().saturating_sub(timer::now());
    let end = timer::wall().saturating_add(left.max(0) as u64);
    let valid = (end.saturating_sub(taken) / SECOND as u64).min(u32::MAX.into()) as u32;
    unit.promise_until(unit.end());
    Header::Released {
        fsid,
        taken,
        valid,
        nfs4: unit.lists_nfs4(),
    }
}

/// The unit that came last in a namespace.
pub(super) fn last(net: Net) -> Result<Option<Id>> {
    let _registry = REGISTRY.lock();
    let there = copy_without(|unit| unit.net() != net)?;
    Ok(there.units.iter().map(|unit| unit.id()).max())
}

/// The exports that have left.
fn departed(net: Net) -> Result<KVec<Fsid>> {
    let _registry = REGISTRY.lock();
    let mut found = KVec::new();
    for unit in &copy_without(|unit| unit.net() != net || !unit.phase().departed)?.units {
        if let Some(fsid) = unit.fsid() {
            found.push(fsid, GFP_KERNEL)?;
        }
    }
    Ok(found)
}

/// Readers for the manifests of units: that of `fsid`, or those of all released ones. `missed` is as
/// for [`super::release::release`].
///
/// Returns `ENOENT` if the unit has none.
pub(crate) fn readers(
    net: Net,
    fsid: Option<Fsid>,
    missed: impl Fn() -> Option<usize>,
) -> Result<KVec<Reader>> {
    let before = missed().ok_or(ENODEV)?;
    // What is released after the look was not looked at.
    let last = last(net)?;
    // What slipped in since would be missing.
    sweep(|unit| unit.net() == net && fsid.is_none_or(|fsid| unit.names(fsid)))?;
    // Where a hook is missed, lockd's files are not all seen.
    let seen = missed() == Some(before);
    // A request of NFSv4 that was under way may have been granted something after the release.
    let mut slipped = KVec::new();
    for fsid in departed(net)? {
        if holds_nfs4(net, fsid) {
            slipped.push(fsid, GFP_KERNEL)?;
        }
    }
    let mut readers = KVec::new();
    let mut registry = REGISTRY.lock();
    end_expired(&mut registry)?;
    for unit in &copy_without(|unit| unit.net() != net)?.units {
        let wanted = match fsid {
            Some(fsid) => unit.names(fsid),
            None => unit.phase().departed,
        };
        if unit.phase().departed && Some(unit.id()) > last {
            continue;
        }
        let has_nfs4 = slipped.iter().any(|fsid| unit.names(*fsid));
        // Before that is asked for, NFSv4 clients may have what is on a list of its own.
        let may_have = unit.lacks_only_nfs4(before) && unit.promised_until() == 0;
        if unit.phase().departed && (!seen || has_nfs4 && !may_have) {
            unit.spoil_manifest();
        }
        let manifest = unit
            .manifest()
            .filter(|it| !it.spoiled() && !unit.is_spoiled());
        // Without the list it is worth nothing.
        let manifest = manifest.filter(|it| {
            let alone = unit.phase().departed && it.lists_nfs4();
            !alone || !has_nfs4 && unit.lacks_only_nfs4(before)
        });
        if let (true, Some(manifest)) = (wanted, manifest) {
            let header = match (manifest.header(), unit.phase().departed) {
                (Header::Released { fsid, taken, .. }, true) => promise(unit, fsid, taken),
                (header, _) => header,
            };
            // What is found from now on sees the promise.
            if unit.is_spoiled() {
                continue;
            }
            readers.push(Reader::new(manifest.clone(), header), GFP_KERNEL)?;
        }
    }
    if fsid.is_some() && readers.is_empty() {
        return Err(ENOENT);
    }
    Ok(readers)
}

/// A reader for what is held in the namespace now.
pub(crate) fn held(net: Net) -> Result<Reader> {
    let taken = timer::wall();
    let records = Capture::new()?.look(net)?;
    let header = Header::Held { taken };
    Ok(Reader::new(Manifest::new(header, records)?, header))
}
