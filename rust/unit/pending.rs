// SPDX-License-Identifier: GPL-2.0-only

//! What is left to do when a command has returned: lists to put in order, and lines for the log.
//!
//! Guarded by the registry's lock.

use super::{
    manifest::Manifest,
    unit::Unit, //
};
use crate::{
    ledger::gather::Records,
    policy::{
        fsid::Fsid,
        line::Dropped,
        manifest::text::Header,
        state::Tally, //
    },
    sys::{
        net::Net,
        watchers, //
    }, //
};
use core::mem::take;
use kernel::{
    prelude::*,
    sync::Arc, //
};

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
    /// Of a unit that was just released, and what it held.
    pub(super) fn new(unit: Arc<Unit>, header: Header, records: Records) -> Self {
        Self {
            unit,
            header,
            records,
        }
    }

    /// Gives the unit its manifest; tells whether it has one now. May sleep.
    pub(super) fn put_in_order(self) -> bool {
        let (name, net) = (self.unit.name(), self.unit.net());
        let made = Manifest::new(self.header, self.records).and_then(|manifest| {
            // One that it has already lacks what is on this one.
            match self.unit.populate(&manifest) {
                true => Ok(()),
                false => Err(EEXIST),
            }
        });
        if made.is_ok() {
            watchers::tell(net);
        }
        if let Err(error) = made {
            pr_warn!("{}\n", format_args!("{name}{net}: no manifest: {error:?}"));
            self.unit.spoil_manifest();
        }
        made.is_ok()
    }
}

/// What the kernel log will say of a release.
///
/// Whoever releases does not wait for that either: consoles are slow.
#[derive(Clone, Copy)]
pub(super) struct Unsaid {
    pub(super) net: Net,
    pub(super) fsid: Fsid,
    pub(super) fence: u32,
    pub(super) dropped: Tally,
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
            format_args!(
                "fsid={fsid}{net}: released for {fence} s, dropped {}",
                Dropped(*dropped)
            )
        );
    }
}

/// All of it.
pub(super) struct Pending {
    unordered: KVec<Unordered>,
    unsaid: KVec<Unsaid>,
}

impl Pending {
    /// Nothing.
    pub(super) const fn new() -> Self {
        Self {
            unordered: KVec::new(),
            unsaid: KVec::new(),
        }
    }

    /// Whether there is anything.
    pub(super) fn any(&self) -> bool {
        !self.unordered.is_empty() || !self.unsaid.is_empty()
    }

    /// Puts in order later what a unit held; tells whether there is memory for that. May sleep.
    pub(super) fn order_later(&mut self, taken: Unordered) -> bool {
        self.unordered.push(taken, GFP_KERNEL).is_ok()
    }

    /// Says a line later, or at once without memory for that. May sleep.
    pub(super) fn say_later(&mut self, line: Unsaid) {
        if self.unsaid.push(line, GFP_KERNEL).is_err() {
            self.say_now(line);
        }
    }

    /// Says a line, and before it what is left to be said. May sleep.
    pub(super) fn say_now(&mut self, line: Unsaid) {
        self.say();
        line.say();
    }

    /// Says what releases have left to be said. May sleep.
    pub(super) fn say(&mut self) {
        for line in take(&mut self.unsaid) {
            line.say();
        }
    }

    /// Makes manifests of what is not in order yet. May sleep.
    pub(super) fn put_in_order(&mut self) {
        while let Some(taken) = self.unordered.pop() {
            taken.put_in_order();
        }
    }

    /// A network namespace is going, and all its units have ended. May sleep.
    pub(super) fn forget(&mut self, net: Net) {
        // The lines name it.
        self.say();
        self.unordered.retain(|taken| taken.unit.net() != net);
    }

    /// The module is going. May sleep.
    pub(super) fn clear(&mut self) {
        self.unordered = KVec::new();
        self.say();
    }
}
