// SPDX-License-Identifier: GPL-2.0-only

//! Releasing a unit: its locks are dropped, and taken down for the node that gets it.

use super::{
    manifest::{
        capture::Capture,
        records::Records,
        Manifest, //
    },
    registry::{
        self,
        End,
        Set,
        State,
        REGISTRY, //
    },
    table::copy_without,
    Active,
    Unit, //
};
use crate::{
    policy::{
        fsid::Fsid,
        line::Dropped,
        manifest::{
            freshness,
            text::Header, //
        },
        verdict::{
            Filesystem,
            Op,
            Phase,
            Request,
            What, //
        }, //
    },
    sys::{
        granted::Running,
        lockd,
        net::Net,
        recorder::Nothing,
        text::Text,
        timer,
        traversal::{
            Found,
            Left,
            Traversal, //
        }, //
    },
};
use core::mem::take;
use kernel::{
    prelude::*,
    sync::{
        atomic::Relaxed,
        rcu,
        Arc, //
    }, //
};

kernel::sync::global_lock! {
    // SAFETY: Initialised by `init` before anything can reach it.
    /// Held while locks are dropped, so that nothing is that another release is taking down.
    /// Taken before `REGISTRY`.
    unsafe(uninit) static RELEASING: Mutex<()> = ();
}

/// # Safety
///
/// Must be called once, before anything else of this file.
pub(super) unsafe fn init() {
    // SAFETY: By the safety requirements.
    unsafe { RELEASING.init() };
}

/// How often it is waited, some milliseconds each time, for calls that were ended to be gone.
const PATIENCE: u32 = 100;

/// What a unit held when it was released, not in order yet.
///
/// Whoever releases does not wait for that. What a client gives up before it is done stays on the
/// manifest, and nobody gets it before the recovery is over.
pub(super) struct Unordered {
    unit: Arc<Unit>,
    header: Header,
    records: Records,
}

impl Unordered {
    pub(super) fn net(&self) -> Net {
        self.unit.net
    }
}

/// What the kernel log will say of a release.
///
/// Whoever releases does not wait for that either: consoles are slow.
#[derive(Clone, Copy)]
pub(super) struct Unsaid {
    net: Net,
    fsid: Fsid,
    fence: u32,
    dropped: Dropped,
}

impl Unsaid {
    fn say(&self) {
        let Self {
            net,
            fsid,
            fence,
            dropped,
        } = self;
        pr_info!(
            "{}\n",
            format_args!("fsid={fsid}{net}: released for {fence} s, dropped {dropped}")
        );
    }
}

/// Says what releases have left to be said. May sleep.
pub(super) fn say(registry: &mut State) {
    for line in take(&mut registry.unsaid) {
        line.say();
    }
}

/// Makes manifests of what is not in order yet. May sleep.
pub(super) fn put_in_order(registry: &mut State) {
    while let Some(taken) = registry.unordered.pop() {
        match Manifest::new(taken.header, taken.records) {
            Ok(manifest) => {
                taken.unit.populate(manifest);
            }
            Err(error) => {
                let (name, net) = (taken.unit.name(), taken.unit.net);
                pr_warn!("{}\n", format_args!("{name}{net}: no manifest: {error:?}"));
            }
        }
    }
}

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
    let takes = |file: &lockd::File<'_>| named(file, &fsid);
    let mut found = Found::default();
    let mut complete = None;
    let before = missed().ok_or(ENODEV)?;
    let releasing = RELEASING.lock();
    if fence > 0 {
        // Before anything changes, because it may fail for want of memory.
        let capture = Capture::new()?;
        // Before the traversal, so that nothing is granted behind its back.
        let set = registry::set(net, export, None, Phase::Released, fence, &[])?;
        match capture.release(net, &takes, &mut found) {
            Ok(records) => {
                let whole = missed() == Some(before);
                complete = Some(keep(net, fsid, &set, records, whole)?);
            }
            // What could not be taken down is still there.
            Err(error) if error == E2BIG || error == ENOMEM => {
                found.add(Traversal::release(net, &takes, &Nothing, false)?);
                complete = Some(keep(net, fsid, &set, Records::default(), false)?);
            }
            Err(error) => return Err(error),
        }
    } else {
        match registry::end_unit(net, export, None, None, End::Release) {
            Err(error) if error != ENOENT => return Err(error),
            _ => {}
        }
        found = Traversal::release(net, &takes, &Nothing, false)?;
    }
    drop(releasing);
    let dropped = found.dropped;
    // Who waits for a lock is told of it by a call. There are hosts only where lockd runs.
    if found.blocks {
        // If not, umount has to wait for them; what is released, is.
        let _ = end_calls(net, &takes);
    }
    lockd::close_files();
    let line = Unsaid {
        net,
        fsid,
        fence,
        dropped,
    };
    let mut registry = REGISTRY.lock();
    // Where nothing was held, nobody waits.
    if dropped.locks == 0 || registry.unsaid.push(line, GFP_KERNEL).is_err() {
        say(&mut registry);
        line.say();
    }
    registry::rearm(&registry);
    drop(registry);
    reply.add(format_args!("{dropped}"))?;
    match complete {
        Some(true) => reply.add(format_args!(" manifest=complete\n")),
        Some(false) => reply.add(format_args!(" manifest=none\n")),
        None => reply.add(format_args!("\n")),
    }
}

/// Ends the calls that keep released files open, and waits until they are gone.
///
/// Their locks are on the list. A client that lives and was not told asks again, and has it.
fn end_calls(net: Net, takes: &dyn Fn(&lockd::File<'_>) -> bool) -> Result {
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
/// missing. Tells whether it has, or will have, a manifest that may be believed.
fn keep(net: Net, fsid: Fsid, set: &Set, mut records: Records, mut whole: bool) -> Result<bool> {
    let mut registry = REGISTRY.lock();
    match &set.replaced {
        Some(old) if old.rule.phase == Phase::Released => {
            // What it held has been taken down before, or was not.
            return Ok(old.manifest.as_ref().is_some_and(|manifest| {
                if !whole || !records.is_empty() {
                    manifest.spoil();
                }
                !manifest.spoiled()
            }));
        }
        // What clients have not reclaimed yet goes on as if they had.
        Some(old) if !old.settled.load(Relaxed) => {
            whole &= old.manifest.as_ref().is_some_and(|manifest| {
                manifest.settle_held(&records);
                manifest.carry_into(&mut records).is_ok()
            });
        }
        _ => {}
    }
    // In these, too, some clients may not have reclaimed yet.
    whole &= !recovers_otherwise(net);
    let history = registry.history.as_mut().ok_or(ENODEV)?;
    let taken = freshness::stamp(timer::wall(), history.newest(net, fsid));
    history.remember(net, fsid, taken);
    if whole {
        let header = Header::Released {
            fsid,
            taken,
            valid: 0,
        };
        let unit = set.unit.clone();
        let taken = Unordered {
            unit,
            header,
            records,
        };
        // What was held is dropped already, so without memory there is just no manifest.
        whole = registry.unordered.push(taken, GFP_KERNEL).is_ok();
    }
    Ok(whole)
}

/// Whether a stock grace period is in force, or a recovery of a filesystem named by path, which
/// may be any.
fn recovers_otherwise(net: Net) -> bool {
    let guard = rcu::read_lock();
    super::active(net, &guard).is_some_and(|active| {
        active.manager().others(false, &guard)
            || active.units().any(|unit| {
                matches!(unit.rule.filesystem, Filesystem::Device(_))
                    && !unit.rule.expired(timer::now())
            })
    })
}

/// Releases what slipped into those released units that `matches` while they were being released.
///
/// A share is granted some time after its verdict, and a blocked lock that was being granted is
/// not on the list that a release goes through. Both are rare; a later pass finds them. They are
/// not on the manifest, which must not be believed then. May sleep.
pub(super) fn sweep(matches: impl Fn(&Unit) -> bool) -> Result {
    let _releasing = RELEASING.lock();
    let released = {
        let mut registry = REGISTRY.lock();
        // What is found has to spoil it.
        put_in_order(&mut registry);
        copy_without(|unit| unit.rule.phase != Phase::Released || !matches(unit))?
    };
    for unit in &released.units {
        let Filesystem::Export(fsid) = unit.rule.filesystem else {
            continue;
        };
        // A unit named differently may have come back to the same filesystem since.
        let takes = |file: &lockd::File<'_>| named(file, &fsid) && left(unit.net, file);
        let mut found = Traversal::release(unit.net, &takes, &Nothing, true)?;
        let granting = matches!(found.left, Some(Left::Granting));
        if granting {
            found.add(Traversal::release(unit.net, &takes, &Nothing, false)?);
        }
        // What lockd is granting may be there after this pass.
        if granting || found.dropped.locks > 0 || found.dropped.shares > 0 {
            if let Some(manifest) = unit.manifest.as_ref() {
                manifest.spoil();
            }
        }
    }
    Ok(())
}

fn named(file: &lockd::File<'_>, fsid: &Fsid) -> bool {
    file.handle().is_some_and(|handle| handle.is(fsid))
}

/// Whether the last thing that happened to the filesystem of `file` is that it left.
fn left(net: Net, file: &lockd::File<'_>) -> bool {
    let guard = rcu::read_lock();
    let request = Request {
        op: Op::New,
        handle: file.handle(),
        dev: file.dev(),
        server: None,
        client: None,
        what: What::Other,
    };
    super::active(net, &guard)
        .and_then(|active: Active<'_>| active.judge(&request).1)
        .is_some_and(|unit| unit.rule.phase == Phase::Released)
}
