// SPDX-License-Identifier: GPL-2.0-only

//! Releasing a unit: its locks are dropped, and taken down for the node that gets it.

use super::{
    capture::Capture,
    census::{
        named,
        Census, //
    },
    pending::{
        Unordered,
        Unsaid, //
    },
    registry::{
        self,
        End,
        Set,
        REGISTRY, //
    },
    stages::{
        self,
        RELEASING, //
    },
    table::active,
    unit::take_away, //
};
use crate::{
    ledger::gather::Records,
    policy::{
        fsid::Fsid,
        line::Dropped,
        manifest::{
            freshness,
            text::Header, //
        },
        phase::Phase,
        state::Tally,
        verdict::Filesystem, //
    },
    sys::{
        lockd::{
            file::{
                self,
                File, //
            },
            found::{
                Found,
                Skipped, //
            },
            grant_call::Running,
            recorder::Nothing,
            traversal::Traversal, //
        },
        net::Net,
        nfsd::state,
        text::Text,
        timer, //
    },
};
use core::net::IpAddr;
use kernel::{
    prelude::*,
    sync::rcu, //
};

/// How many times to poll, a few milliseconds apart, until cancelled GRANTED calls are gone.
const PATIENCE: u32 = 100;

/// Releases the locks on an export and, unless `fence` is 0, keeps new requests waiting for
/// `fence` seconds and takes down what was released. `missed` tells how many calls the hooks have
/// missed, or [`None`] if they are not called at all: then it is `ENODEV`.
pub(crate) fn release(
    net: Net,
    fsid: Fsid,
    fence: u32,
    missed: impl Fn() -> Option<usize>,
    reply: &mut Text,
) -> Result {
    let export = Filesystem::Export(fsid);
    let takes = |file: &File<'_>| named(file, &fsid);
    let mut found = Found::default();
    let mut kept = None;
    let before = missed().ok_or(ENODEV)?;
    let releasing = RELEASING.lock();
    // A recovery that ends in the middle has refused what it was asked before.
    let elsewhere = recovers_otherwise(net);
    if fence > 0 {
        // Before anything changes, because it may fail for want of memory.
        let capture = Capture::new()?;
        // Before the traversal, so that nothing is granted behind its back.
        let set = registry::set(net, export, None, Phase::Released, fence, &[])?;
        let census = Census::default();
        let counted = |file: &File<'_>| census.takes(file, &fsid);
        let widen = |short| capture.widen(short);
        let certain = match stages::release(net, &counted, &capture, widen, &mut found) {
            Ok(certain) => certain,
            // What could not be taken down is still there.
            Err(error) if error == E2BIG || error == ENOMEM => {
                dropped_on(net, fsid, &takes, &mut found)?;
                false
            }
            Err(error) => {
                set.unit.spoil_manifest();
                owe(net, fsid);
                return Err(error);
            }
        };
        let twins = capture.met_twins();
        let records = capture.into_records();
        let unknown = elsewhere
            // Who has a lock, or waits, by the name of another export is not known here.
            || census.mixed()
            // By which handle the client will reclaim is not known.
            || (twins && records.is_opaque());
        let whole = certain && !unknown && missed() == Some(before);
        let keeps = keep(net, fsid, &set, records, whole)?;
        if let Kept::AllButNfs4 { manifest } = keeps {
            set.unit.mark_only_nfs4(before, manifest);
        }
        kept = Some(keeps);
    } else {
        match registry::end_unit(net, export, None, None, End::Release) {
            Err(error) if error != ENOENT => return Err(error),
            _ => {}
        }
        let result = Traversal::drop_all(net, &takes);
        if !matches!(&result, Ok(found) if found.dropped == Tally::default()) {
            owe(net, fsid);
        }
        found = result?;
    }
    drop(releasing);
    if let Some(Skipped::Doubt(doubt)) = found.skipped {
        pr_warn!(
            "{}\n",
            format_args!("fsid={fsid}{net}: not all was dropped: {doubt}")
        );
    }
    let dropped = found.dropped;
    // Who waits for a lock is told of it by a call. There are hosts only where lockd runs.
    if found.blocks {
        // If not, umount has to wait for them; what is released, is.
        let _ = end_calls(net, &takes);
    }
    file::close_files();
    let line = Unsaid {
        net,
        fsid,
        fence,
        dropped,
    };
    let mut registry = REGISTRY.lock();
    // Where nothing was held, nobody waits.
    if dropped.locks == 0 {
        registry.pending.say_now(line);
    } else {
        registry.pending.say_later(line);
    }
    registry::rearm(&registry);
    drop(registry);
    reply.add(format_args!("{}", Dropped(dropped)))?;
    match kept {
        Some(kept) => reply.add(format_args!(" {}\n", kept.words())),
        None => reply.add(format_args!("\n")),
    }
}

/// What a released unit has of what it held.
#[derive(Clone, Copy)]
enum Kept {
    /// A manifest that may be believed.
    Manifest,
    /// No manifest yet, for the only reason that NFSv4 clients have something there, too. When they have
    /// not any more there is one of the others, if these had anything.
    AllButNfs4 {
        /// They had.
        manifest: bool,
    },
    /// No manifest.
    Nothing,
}

impl Kept {
    fn manifest(there: bool) -> Self {
        match there {
            true => Self::Manifest,
            false => Self::Nothing,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Manifest => "manifest=complete",
            Self::AllButNfs4 { manifest: false } => "manifest=none nfs4=only",
            Self::AllButNfs4 { manifest: true } => "manifest=none nfs4=also",
            Self::Nothing => "manifest=none",
        }
    }
}

/// Drops the rest of what could not be taken down.
fn dropped_on(
    net: Net,
    fsid: Fsid,
    takes: &dyn Fn(&File<'_>) -> bool,
    found: &mut Found,
) -> Result {
    let result = stages::release(net, takes, &Nothing, |_| Ok(()), found);
    owe(net, fsid);
    result.map(drop)
}

/// Remembers that clients may believe in locks that were dropped, and that are on no list.
pub(super) fn owe(net: Net, fsid: Fsid) {
    if let Some(history) = &mut REGISTRY.lock().history {
        history.dropped(net, fsid);
    }
}

/// Sets a unit to recover, but not in the middle of a release: what its clients reclaim would be
/// dropped again.
///
/// If the filesystem is served here already, clients may wait for locks that others come to reclaim.
/// When this returns, nobody does, unless the log says so. `missed` is as for [`release`].
pub(crate) fn recover(
    net: Net,
    filesystem: Filesystem,
    ip: Option<IpAddr>,
    seconds: u32,
    path: &[u8],
    missed: impl Fn() -> Option<usize>,
) -> Result {
    let _releasing = RELEASING.lock();
    let before = missed().ok_or(ENODEV)?;
    let set = registry::set(net, filesystem, ip, Phase::Recovering, seconds, path)?;
    // After the unit is there, so that nobody comes to wait. It is in force by now, so what goes wrong
    // is said, and is no error of the command.
    let dropped = stages::drop_waiting(net, &|file| match filesystem {
        Filesystem::Export(fsid) => named(file, &fsid),
        Filesystem::Device(dev) => file.dev() == Some(dev),
    });
    let name = set.unit.name();
    // Where a hook is missed, lockd says yes to all that it asks about.
    if missed() != Some(before) {
        pr_warn!(
            "{}\n",
            format_args!(
                "{name}{net}: more than what waits may have been dropped: a hook was missed"
            )
        );
        match filesystem {
            Filesystem::Export(fsid) => owe(net, fsid),
            Filesystem::Device(_) => take_away(net),
        }
    }
    match dropped.map(|found| found.skipped) {
        Ok(None) => {}
        Ok(Some(Skipped::Doubt(doubt))) => pr_warn!(
            "{}\n",
            format_args!("{name}{net}: not all that waits was dropped: {doubt}")
        ),
        Ok(Some(_)) | Err(_) => pr_warn!(
            "{}\n",
            format_args!("{name}{net}: not all that waits was dropped")
        ),
    }
    Ok(())
}

/// Ends the calls that keep released files open, and waits until they are gone.
///
/// Their locks are on the list. A client that lives and was not told asks again, and has it.
fn end_calls(net: Net, takes: &dyn Fn(&File<'_>) -> bool) -> Result {
    // SAFETY: Writing to a file of the namespace's nfsd filesystem pins it.
    let lockd = unsafe { Running::keep(net) }?;
    for _ in 0..PATIENCE {
        if !Traversal::end_calls(&lockd, takes)? {
            break;
        }
        timer::sleep(1);
    }
    Ok(())
}

/// Keeps for a unit that was just released what it held; `whole` tells whether nothing of that is
/// missing, but for what NFSv4 clients have. Tells what it has, or will have.
fn keep(net: Net, fsid: Fsid, set: &Set, mut records: Records, mut whole: bool) -> Result<Kept> {
    let nfs4 = holds_nfs4(net, fsid);
    let mut registry = REGISTRY.lock();
    // Whether it is known before it is put in order that nothing contradicts itself.
    let mut consistent = !records.has_aliases();
    match &set.replaced {
        Some(old) if old.has_departed() => {
            // What it held has been taken down before, or was not. What is dropped now is not.
            let lacks = !whole || nfs4 || !records.is_empty();
            if lacks {
                let history = registry.history.as_mut().ok_or(ENODEV)?;
                history.dropped(net, fsid);
            }
            return Ok(Kept::manifest(set.unit.manifest().is_some_and(
                |manifest| {
                    if lacks {
                        manifest.spoil();
                    }
                    !manifest.spoiled() && !manifest.lists_nfs4()
                },
            )));
        }
        // Locks that were not reclaimed yet are carried into the new list like those that are held.
        Some(old) if !old.is_settled() => {
            consistent = false;
            whole &= !old.misses_nfs4();
            whole &= old.manifest().is_some_and(|manifest| {
                manifest.settle_held(net, &records);
                manifest.carry_into(&mut records).is_ok()
            });
        }
        _ => {}
    }
    // In these, too, some clients may not have reclaimed yet.
    whole &= !recovers_otherwise(net);
    let history = registry.history.as_mut().ok_or(ENODEV)?;
    // Who believes in what lockd dropped when it was stopped, or for a stock release, holds nothing.
    whole &= !history.lacks(net, fsid);
    if set.replaced.is_none() {
        // What an earlier release dropped nobody could reclaim here since its fence is over. Or a
        // takeover has ended before its clients could come: who locks since tells nothing of them.
        whole &= !history.owes(net, fsid, records.is_empty() && !nfs4);
    }
    let taken = freshness::stamp(timer::wall(), history.newest(net, fsid));
    history.remember(net, fsid, taken);
    if !whole || nfs4 || !records.is_empty() {
        history.dropped(net, fsid);
    }
    let has_manifest = !nfs4 || !records.is_empty();
    if whole && has_manifest {
        let header = Header::Released {
            fsid,
            taken,
            valid: 0,
            nfs4,
        };
        let taken = Unordered::new(set.unit.clone(), header, records);
        // What was held is dropped already, so without memory there is just no manifest.
        whole = match consistent {
            true => registry.pending.order_later(taken),
            false => taken.put_in_order(),
        };
    }
    if whole && nfs4 {
        return Ok(Kept::AllButNfs4 {
            manifest: has_manifest,
        });
    }
    Ok(Kept::manifest(whole))
}

/// Whether NFSv4 clients have something on an export, or may have: no manifest tells of it, so who gets the
/// unit must not believe in one. May sleep.
pub(super) fn holds_nfs4(net: Net, fsid: Fsid) -> bool {
    state::any(net, &|handle| handle.is(&fsid)).unwrap_or(true)
}

/// Whether a stock grace period is in force, or a recovery of a filesystem named by path, which
/// may be any.
fn recovers_otherwise(net: Net) -> bool {
    // Whoever asks is no request, so this is the answer without us.
    if net.locks_in_grace() {
        return true;
    }
    let guard = rcu::read_lock();
    active(net, &guard).is_some_and(|active| {
        let mut units = active.units();
        units.any(|unit| unit.fsid().is_none() && !unit.over(timer::now()))
    })
}
