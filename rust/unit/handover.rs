// SPDX-License-Identifier: GPL-2.0-only

//! Manifests on their way: read from a released unit, given to a recovering one.

use super::{
    manifest::{
        capture::Capture,
        reader::Reader,
        Manifest, //
    },
    registry::{
        rearm,
        MAX_UNITS,
        REGISTRY,
        SECOND, //
    },
    release,
    table::copy_without,
    Unit, //
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
        verdict::{
            Filesystem,
            Phase, //
        }, //
    },
    sys::{
        errno,
        lockd,
        net::Net,
        timer, //
    },
};
use kernel::{
    prelude::*,
    sync::{
        atomic::Relaxed,
        Arc, //
    }, //
};

/// A manifest that came before its unit.
pub(super) struct Early {
    pub(super) net: Net,
    pub(super) fsid: Fsid,
    pub(super) manifest: Arc<Manifest>,
}

impl Early {
    /// Whether the node that took it still waits.
    pub(super) fn believable(&self) -> bool {
        let Header::Released { taken, valid, .. } = self.manifest.header() else {
            return false;
        };
        freshness::judge(taken, valid, timer::wall(), 0).is_ok()
    }

    /// Nanoseconds until it is not believable any more.
    pub(super) fn left(&self) -> i64 {
        let Header::Released { taken, valid, .. } = self.manifest.header() else {
            return 0;
        };
        let end = taken.saturating_add(u64::from(valid) * SECOND as u64);
        end.saturating_sub(timer::wall()).min(i64::MAX as u64) as i64
    }
}

/// Gives a recovering unit its manifest. `REGISTRY` is held.
pub(super) fn attach(unit: &Arc<Unit>, manifest: Arc<Manifest>) {
    let over = manifest.over();
    if unit.populate(manifest) {
        // What is listed there is newer than what this node gave away.
        unit.promise.store(0, Relaxed);
        if over {
            unit.recovered();
        }
    }
}

/// Takes a manifest for its unit, which may not be there yet.
///
/// Returns `ESTALE`, `ETIMEDOUT` or `ERANGE` if it may not be believed, `EEXIST` if the unit has one
/// and `EBUSY` if its clients have begun to reclaim without.
pub(crate) fn offer(net: Net, manifest: Arc<Manifest>) -> Result {
    let Header::Released { fsid, taken, valid } = manifest.header() else {
        return Err(EINVAL);
    };
    let export = Filesystem::Export(fsid);
    let mut registry = REGISTRY.lock();
    let history = registry.history.as_mut().ok_or(ENODEV)?;
    freshness::judge(taken, valid, timer::wall(), history.newest(net, fsid)).map_err(|doubt| {
        match doubt {
            Doubt::Outdated => errno::stale(),
            Doubt::Expired => ETIMEDOUT,
            Doubt::Future => ERANGE,
        }
    })?;
    let found = copy_without(|unit| {
        unit.net != net
            || unit.rule.filesystem != export
            || unit.rule.phase != Phase::Recovering
            || unit.rule.expired(timer::now())
    })?;
    let progress = manifest.progress();
    if let Some(unit) = found.units.first() {
        if unit.manifest.as_ref().is_some() {
            return Err(EEXIST);
        }
        if unit.counts().reclaimed > 0 {
            return Err(EBUSY);
        }
        history.remember(net, fsid, taken);
        attach(unit, manifest);
    } else {
        if registry.early.iter().filter(|old| old.net == net).count() >= MAX_UNITS {
            return Err(ENOSPC);
        }
        registry
            .early
            .retain(|old| (old.net, old.fsid) != (net, fsid));
        registry.early.push(
            Early {
                net,
                fsid,
                manifest,
            },
            GFP_KERNEL,
        )?;
        if let Some(history) = &mut registry.history {
            history.remember(net, fsid, taken);
        }
    }
    release::say(&mut registry);
    pr_info!(
        "{}\n",
        format_args!(
            "fsid={fsid}{net}: manifest of {} locks and shares",
            progress.listed
        )
    );
    rearm(&registry);
    Ok(())
}

/// Readers for the manifests of units: that of `fsid`, or those of all released ones.
///
/// Returns `ENOENT` if the unit has none.
pub(crate) fn readers(net: Net, fsid: Option<Fsid>) -> Result<KVec<Reader>> {
    // What slipped in since would be missing.
    release::sweep(|unit| unit.net == net && fsid.is_none_or(|fsid| unit.names(fsid)))?;
    let mut readers = KVec::new();
    let _registry = REGISTRY.lock();
    for unit in &copy_without(|unit| unit.net != net)?.units {
        let wanted = match fsid {
            Some(fsid) => unit.names(fsid),
            None => unit.rule.phase == Phase::Released,
        };
        let manifest = unit.manifest.as_ref().filter(|it| !it.spoiled());
        if let (true, Some(manifest)) = (wanted, manifest) {
            let mut header = manifest.header();
            if let (Header::Released { taken, valid, .. }, Phase::Released) =
                (&mut header, unit.rule.phase)
            {
                // Nobody may believe it for longer than this node waits.
                let left = unit.rule.deadline - timer::now();
                let end = timer::wall().saturating_add(left.max(0) as u64);
                *valid = (end.saturating_sub(*taken) / SECOND as u64).min(u32::MAX.into()) as u32;
                unit.promise.store(unit.rule.deadline, Relaxed);
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
    let all = |_: &lockd::File<'_>| true;
    let records = Capture::new()?.look(net, &all)?;
    let header = Header::Held { taken };
    Ok(Reader::new(Manifest::new(header, records)?, header))
}
