// SPDX-License-Identifier: GPL-2.0-only

//! Taking down what clients hold, from lockd.
//!
//! A traversal calls back with lockd's locks held, where nothing sleeps. If room was missing, the
//! traversal leaves what it could not take down as it is, and is repeated with more.

use crate::{
    ledger::gather::{
        Mark,
        Records,
        MAX_ENTRIES, //
    },
    policy::state::{
        range::Range,
        share::Share,
        Full, //
    },
    sys::{
        lockd::{
            found::Skipped,
            host::Host,
            locks::{
                Holder,
                Locks,
                Ranges, //
            },
            recorder::Recorder,
            traversal::Traversal, //
        },
        net::Net, //
    },
};
use core::cell::RefCell;
use kernel::prelude::*;

/// Clients met last, so that one that holds many locks is not taken down each time.
const RECENT: usize = 16;

/// Locks there is room for in the beginning.
const ROOM: usize = 24;

struct Taken {
    records: Records,
    file: u32,
    mark: Mark,
    recent: [(usize, u32); RECENT],
    /// How many locks the last reservation was for.
    room: usize,
    /// Locks were met that were taken by another handle of the same file.
    twins: bool,
}

impl Taken {
    /// Doubles the last reservation, which bounds the number of retries. May sleep.
    ///
    /// Returns `E2BIG` if there is more than a manifest may have.
    fn widen(&mut self, short: usize) -> Result {
        if self.room >= MAX_ENTRIES {
            return Err(E2BIG);
        }
        self.room = (2 * self.room).max(short).min(MAX_ENTRIES);
        self.records.reserve(self.room)
    }

    /// Takes down the locks that clients in `net` hold on the file at hand; returns their number.
    fn locks(&mut self, net: Net, mut locks: Locks<'_>) -> Result<u64, Full> {
        let mut met = 0;
        while let Some(added) = locks.run(|holder, ranges| self.run(net, holder, ranges)) {
            met += added?;
        }
        if self.records.too_many() {
            return Err(Full);
        }
        Ok(met)
    }

    fn run(&mut self, net: Net, holder: &Holder<'_>, ranges: &mut Ranges<'_>) -> Result<u64, Full> {
        if holder.host.net() != net {
            return Ok(0);
        }
        if !holder.by_handle {
            // Where all files are looked at, the other handle is, too.
            if self.records.of_several {
                return Ok(0);
            }
            self.twins = true;
        }
        let client = self.client(&holder.host)?;
        self.records
            .run(self.file, client, holder.svid, holder.exclusive, ranges)
    }

    fn client(&mut self, host: &Host<'_>) -> Result<u32, Full> {
        // Hosts are some hundred bytes in size.
        let slot = ((host.id() >> 8) ^ (host.id() >> 4)) % RECENT;
        if self.recent[slot].0 == host.id() {
            return Ok(self.recent[slot].1);
        }
        let number = self.records.client(host.identity(), host.name())?;
        self.recent[slot] = (host.id(), number);
        Ok(number)
    }
}

/// A [`Recorder`] into [`Records`].
pub(crate) struct Capture(RefCell<Taken>);

impl Capture {
    /// Makes some room. May sleep.
    pub(crate) fn new() -> Result<Self> {
        let mut records = Records::default();
        records.reserve(ROOM)?;
        Ok(Self(RefCell::new(Taken {
            records,
            file: 0,
            mark: Mark::default(),
            recent: [(0, 0); RECENT],
            room: ROOM,
            twins: false,
        })))
    }

    /// Takes down what clients in `net` hold, on whatever filesystem, and leaves it to them.
    pub(crate) fn look(mut self, net: Net) -> Result<Records> {
        self.0.get_mut().records.of_several = true;
        loop {
            let found = Traversal::look(net, &|_| true, &self)?;
            let Some(Skipped::Full(short)) = found.skipped else {
                break;
            };
            let taken = self.0.get_mut();
            // A look begins anew.
            taken.recent = [(0, 0); RECENT];
            taken.records = Records::default();
            taken.records.of_several = true;
            taken.widen(short)?;
        }
        Ok(self.0.into_inner().records)
    }

    /// Makes room for what there was none for. May sleep.
    ///
    /// Returns `E2BIG` if there is more than a manifest may have.
    pub(crate) fn widen(&self, short: usize) -> Result {
        // No traversal is under way, so nobody else has it.
        self.0.try_borrow_mut().map_err(|_| EBUSY)?.widen(short)
    }

    /// Whether locks were met that were taken by another handle of the same file than that under
    /// which they are recorded.
    pub(crate) fn met_twins(&self) -> bool {
        self.0.try_borrow().is_ok_and(|taken| taken.twins)
    }

    /// What was recorded.
    pub(crate) fn into_records(self) -> Records {
        self.0.into_inner().records
    }
}

impl Capture {
    /// Whoever calls back is alone with it, so the error is never met.
    fn with<R>(&self, f: impl FnOnce(&mut Taken) -> Result<R, Full>) -> Result<R, Full> {
        f(&mut *self.0.try_borrow_mut().map_err(|_| Full)?)
    }
}

impl Recorder for Capture {
    fn file(&self, handle: &[u8]) -> Result<(), Full> {
        self.with(|taken| {
            taken.file = taken.records.file(handle)?;
            Ok(())
        })
    }

    fn locks(&self, net: Net, locks: Locks<'_>) -> Result<u64, Full> {
        self.with(|taken| taken.locks(net, locks))
    }

    fn blocked(&self, host: &Host<'_>, range: Range) -> Result<(), Full> {
        self.with(|taken| {
            let (file, client) = (taken.file, taken.client(host)?);
            taken.records.blocked(file, client, range)
        })
    }

    fn share(&self, host: &Host<'_>, share: Share<'_>) -> Result<(), Full> {
        self.with(|taken| {
            let (file, client) = (taken.file, taken.client(host)?);
            taken.records.share(file, client, share)
        })
    }

    fn mark(&self) {
        let _ = self.with(|taken| {
            taken.mark = taken.records.mark();
            Ok(())
        });
    }

    fn forget(&self) {
        let _ = self.with(|taken| {
            taken.records.forget(taken.mark);
            Ok(())
        });
    }
}
