// SPDX-License-Identifier: GPL-2.0-only

//! Who has to complete its reclaims before a recovery is over: told to a unit, and shown.

use super::{
    awaited::Awaited,
    handover::{
        believe,
        is_valid,
        last,
        promise, //
    },
    registry::{
        end_expired,
        REGISTRY, //
    },
    release::holds_nfs4,
    sweep::sweep,
    table::copy_without,
    unit::Unit, //
};
use crate::{
    policy::{
        fsid::Fsid,
        manifest::text::Header,
        words::Escaped, //
    },
    sys::{
        errno,
        net::Net,
        text::Text,
        watchers, //
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// Tells the unit that recovers whom it has to wait for.
///
/// Returns `ENOENT` if it does not recover, or lacks the manifest that belongs to the list, `EEXIST` if
/// it knows already what or who is outstanding, `EBUSY` if clients have been there, as some may have
/// completed their reclaims by then, and what [`super::handover::offer`] does if the list may not be
/// believed.
pub(crate) fn expect(net: Net, header: Header, awaited: Awaited) -> Result<(Fsid, usize)> {
    let Header::Released {
        fsid,
        taken,
        valid,
        nfs4: nlm,
    } = header
    else {
        return Err(EINVAL);
    };
    let awaited = Arc::new(awaited, GFP_KERNEL)?;
    let mut registry = REGISTRY.lock();
    registry.pending.say();
    end_expired(&mut registry)?;
    let recovers = |unit: &Unit| unit.net() == net && unit.names(fsid) && unit.phase().recovers;
    let found = copy_without(|unit| !recovers(unit))?;
    let unit = found.units.first().ok_or(ENOENT)?;
    let manifest = unit.manifest();
    if unit.awaited().is_some() || manifest.is_some_and(|it| !nlm || !it.lists_nfs4()) {
        return Err(EEXIST);
    }
    if unit.is_visited() {
        return Err(EBUSY);
    }
    match (manifest, nlm) {
        (None, true) => return Err(ENOENT),
        (None, false) => believe(&mut registry, net, fsid, taken, valid)?,
        // It was believed when it came, and this is the rest of it.
        (Some(manifest), _) if manifest.taken() == Some(taken) => is_valid(taken, valid)?,
        (Some(_), _) => return Err(errno::stale()),
    }
    // As with a manifest: it is newer than what this node gave away. Before anybody can complete.
    unit.forget_promise();
    let count = awaited.len();
    unit.expect(awaited);
    watchers::tell(net);
    Ok((fsid, count))
}

/// Says of a released unit, as the beginning of its manifest would, when it was released and for how
/// long nothing is granted here. That is a promise then. `missed` is as for
/// [`super::release::release`].
///
/// Returns `ENOENT` if something else may be missing than what NFSv4 clients had, or one of them has
/// something still.
pub(crate) fn ask(
    net: Net,
    fsid: Fsid,
    missed: impl Fn() -> Option<usize>,
    text: &mut Text,
) -> Result {
    let before = missed().ok_or(ENODEV)?;
    // What is released after the look was not looked at.
    let last = last(net)?;
    sweep(|unit| unit.net() == net && unit.names(fsid))?;
    let whole = !holds_nfs4(net, fsid) && missed() == Some(before);
    let mut registry = REGISTRY.lock();
    end_expired(&mut registry)?;
    let left = |unit: &Unit| {
        let ours = unit.net() == net && unit.names(fsid) && unit.phase().departed;
        ours && Some(unit.id()) <= last
    };
    let found = copy_without(|unit| !left(unit))?;
    let unit = found.units.first().ok_or(ENOENT)?;
    if !whole {
        unit.spoil_manifest();
    }
    if !unit.lacks_only_nfs4(before) {
        return Err(ENOENT);
    }
    let history = registry.history.as_ref().ok_or(ENODEV)?;
    let taken = unit.manifest().and_then(|it| it.taken());
    let taken = taken.unwrap_or_else(|| history.newest(net, fsid));
    let header = promise(unit, fsid, taken);
    if unit.is_spoiled() {
        return Err(ENOENT);
    }
    text.add(format_args!("{header}\n"))
}

/// Prints whom units wait for.
pub(crate) fn show(net: Net, text: &mut Text) -> Result {
    let mut lists: KVec<(Fsid, Arc<Awaited>)> = KVec::new();
    {
        let _registry = REGISTRY.lock();
        for unit in &copy_without(|unit| unit.net() != net || unit.awaited().is_none())?.units {
            if let (Some(fsid), Some(awaited)) = (unit.fsid(), unit.awaited()) {
                lists.push((fsid, awaited.clone()), GFP_KERNEL)?;
            }
        }
    }
    for (fsid, awaited) in &lists {
        for client in awaited.clients() {
            let completed = if client.completed { "yes" } else { "no" };
            let name = Escaped(client.name);
            text.add(format_args!("client fsid={fsid} completed={completed} "))?;
            if let Some((files, locks)) = client.had {
                text.add(format_args!("files={files} locks={locks} "))?;
            }
            text.add(format_args!("name={name}\n"))?;
        }
    }
    Ok(())
}
