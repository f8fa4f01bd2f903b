// SPDX-License-Identifier: GPL-2.0-only

//! What happens by itself: units end by time, with their namespace, and with the module.

use super::{
    device,
    gone,
    registry::{
        self,
        end,
        end_expired,
        rearm,
        End,
        State,
        REGISTRY, //
    },
    stages::{
        self,
        RELEASING, //
    },
    sweep::sweep,
    table::copy_without,
    unit::begin_to_look, //
};
use crate::sys::{
    net::{
        Net,
        OnExit, //
    },
    timer,
    watchers, //
};
use kernel::prelude::*;

/// The registry, ready for use.
pub(crate) struct Registry(());

impl Registry {
    /// Prepares the registry.
    ///
    /// # Safety
    ///
    /// Must be called once, before anything else of [`crate::unit`].
    pub(crate) unsafe fn new() -> Result<Self> {
        // SAFETY: By the safety requirements.
        unsafe {
            stages::init();
            device::init();
            gone::init();
            registry::init(on_time)?;
        }
        Ok(Self(()))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        registry::close();
    }
}

/// What the timer does: ends what is over, and goes through released units again.
fn on_time() {
    begin_to_look();
    watchers::wake_noted();
    {
        let mut registry = REGISTRY.lock();
        registry.pending.say();
        registry.pending.put_in_order();
        // Without memory it stays outstanding.
        let _ = gone::settle();
        // Without memory the units stay, expired as they are, and it is tried again.
        let _ = tell_recovered(&mut registry);
        let _ = end_expired(&mut registry);
    }
    let _ = sweep(|_| true);
    rearm(&REGISTRY.lock());
}

/// Says of each unit once that all of its manifest is settled.
fn tell_recovered(registry: &mut State) -> Result {
    for unit in &copy_without(|unit| !unit.is_untold())?.units {
        unit.mark_told();
        if let (Some(fsid), Some(history)) = (unit.fsid(), &mut registry.history) {
            history.remember(unit.net(), fsid, timer::wall());
        }
        let (name, net, counts) = (unit.name(), unit.net(), unit.counts());
        watchers::tell(net);
        pr_info!(
            "{}\n",
            format_args!("{name}{net}: recovery over, nothing is outstanding: {counts}")
        );
    }
    Ok(())
}

/// Units end with their network namespace.
pub(crate) struct NetExit;

impl OnExit for NetExit {
    fn on_exit(net: Net) {
        // A sweep that goes on remembers of the namespace what it found. It may take long, if a
        // filesystem hangs, and is waited for only where there was a unit.
        let known = REGISTRY.lock().knows(net);
        let _releasing = known.then(|| RELEASING.lock());
        // The namespace must not go while a table names it; memory for the new one will come.
        while end(
            &mut REGISTRY.lock(),
            |unit| unit.net() == net,
            End::Namespace,
        )
        .is_err()
        {
            timer::sleep(10);
        }
        let mut registry = REGISTRY.lock();
        registry.pending.forget(net);
        if let Some(history) = &mut registry.history {
            history.forget(net);
        }
        device::forget(net);
    }
}
