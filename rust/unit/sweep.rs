// SPDX-License-Identifier: GPL-2.0-only

//! Going through released units again, for what slipped in.

use super::{
    census::named,
    held::Held,
    registry::REGISTRY,
    release::owe,
    stages::{
        self,
        RELEASING, //
    },
    table::{
        active,
        copy_without,
        Active, //
    },
    unit::Unit, //
};
use crate::{
    policy::{
        state::client::Transport,
        verdict::{
            Op,
            Request,
            What, //
        },
    },
    sys::{
        lockd::{
            file::File,
            found::Found,
            recorder::Nothing,
            traversal::Traversal, //
        },
        module_ref::ThisModule,
        net::Net, //
    },
};
use core::{
    cell::Cell,
    iter::zip, //
};
use kernel::{
    prelude::*,
    sync::rcu, //
};

/// Releases what slipped into those released units that `matches` while they were being released.
///
/// A share is granted some time after its verdict, and a blocked lock that was being granted is
/// not on the list that a release goes through. Both are rare; a later pass finds them. They are
/// not on the manifest, which must not be believed then, nor on that of a later release, before
/// clients have had the time to reclaim. May sleep.
pub(super) fn sweep(matches: impl Fn(&Unit) -> bool) -> Result {
    // The last unit may end meanwhile, and without hooks lockd would drop what it goes through.
    let Some(_module) = ThisModule::try_get() else {
        return Ok(());
    };
    let _releasing = RELEASING.lock();
    let released = {
        let mut registry = REGISTRY.lock();
        // What is found has to spoil it.
        registry.pending.put_in_order();
        copy_without(|unit| !unit.phase().swept || !matches(unit))?
    };
    if released.units.is_empty() {
        return Ok(());
    }
    // Most often there is nothing, so one look is for all of them.
    let mut suspects = KVec::with_capacity(released.units.len(), GFP_KERNEL)?;
    for _ in &released.units {
        suspects.push(Cell::new(false), GFP_KERNEL)?;
    }
    Traversal::see_all(&|file| {
        let Some(handle) = file.handle() else {
            return;
        };
        for (unit, suspect) in zip(&released.units, &suspects) {
            let named = unit.fsid().is_some_and(|fsid| handle.is(&fsid));
            if named && !suspect.get() {
                suspect.set(file.may_hold(unit.net()));
            }
        }
    })?;
    let mut swept = Ok(());
    for (unit, suspect) in zip(&released.units, &suspects) {
        let (Some(fsid), true) = (unit.fsid(), suspect.get()) else {
            continue;
        };
        // What is granted once it is over is not to be dropped.
        let Some(_held) = Held::try_new(unit) else {
            continue;
        };
        // A unit named differently may have come back to the same filesystem since.
        let takes = |file: &File<'_>| named(file, &fsid) && departed(unit.net(), file);
        let mut found = Found::default();
        let result = stages::release(unit.net(), &takes, &Nothing, |_| Ok(()), &mut found);
        // What lockd is granting may be there after this pass, and what an error left, too.
        if result != Ok(true) || found.dropped.locks > 0 || found.dropped.shares > 0 {
            unit.spoil_manifest();
            owe(unit.net(), fsid);
        }
        // The others are gone through all the same.
        swept = swept.and(result.map(drop));
    }
    swept
}

/// Whether the last thing that happened to the filesystem of `file` is that it left.
fn departed(net: Net, file: &File<'_>) -> bool {
    let guard = rcu::read_lock();
    let request = Request {
        op: Op::New,
        handle: file.handle(),
        dev: file.dev(),
        server: None,
        client: None,
        transport: Transport::USUAL,
        name: &[],
        what: What::Other,
    };
    active(net, &guard)
        .and_then(|active: Active<'_>| active.judge(&request).1)
        .is_some_and(|unit| unit.has_departed() && !unit.is_outdated())
}
