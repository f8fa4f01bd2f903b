// SPDX-License-Identifier: GPL-2.0-only

//! Taking down what clients hold, from lockd.
//!
//! A traversal calls back with lockd's locks held, where nothing sleeps. If room was missing, the
//! traversal leaves what it could not take down as it is, and is repeated with more.

use super::records::{
    Mark,
    Records,
    MAX_ENTRIES, //
};
use crate::{
    policy::manifest::text::{
        Range,
        Share, //
    },
    sys::{
        host::Host,
        lockd::File,
        locks::{
            Holder,
            Locks,
            Ranges, //
        },
        net::Net,
        recorder::{
            Full,
            Recorder, //
        },
        timer,
        traversal::{
            Found,
            Left,
            Traversal, //
        }, //
    },
};
use core::{
    cell::RefCell,
    net::{
        IpAddr,
        Ipv4Addr, //
    }, //
};
use kernel::prelude::*;

/// Clients met last, so that one that holds many locks is not taken down each time.
const RECENT: usize = 16;

/// Locks there is room for in the beginning.
const ROOM: usize = 24;

/// How often it is waited, some milliseconds each time, for lockd to be through with granting. It
/// takes microseconds, unless its thread is stuck elsewhere; then it grants nothing either.
const PATIENCE: u32 = 100;

struct Taken {
    records: Records,
    file: u32,
    mark: Mark,
    recent: [(usize, u32); RECENT],
    /// How many more locks there was room for at last.
    room: usize,
}

impl Taken {
    /// Makes twice as much room as at last, so that trying comes to an end. May sleep.
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
        // lockd serves nothing but the two families of the internet.
        let address = host.client().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let number = self.records.client(address, host.server(), host.name())?;
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
        })))
    }

    /// Takes down what clients in `net` hold on files that `takes`, and leaves it to them.
    pub(crate) fn look(mut self, net: Net, takes: &dyn Fn(&File<'_>) -> bool) -> Result<Records> {
        loop {
            let found = Traversal::look(net, takes, &self)?;
            let Some(Left::Full(short)) = found.left else {
                break;
            };
            let taken = self.0.get_mut();
            // A look begins anew.
            taken.recent = [(0, 0); RECENT];
            taken.records = Records::default();
            taken.widen(short)?;
        }
        Ok(self.0.into_inner().records)
    }

    /// Takes down what clients in `net` hold on files that `takes`, and releases it.
    ///
    /// If that cannot be taken down any more, the error comes with what has been released; the rest
    /// is still to be.
    pub(crate) fn release(
        mut self,
        net: Net,
        takes: &dyn Fn(&File<'_>) -> bool,
        found: &mut Found,
    ) -> Result<Records> {
        // Twice at least: a blocked lock that was being granted is found by the second pass.
        let (mut passes, mut patience) = (0, PATIENCE);
        while passes < 2 {
            found.add(Traversal::release(net, takes, &self, patience > 0)?);
            passes = match found.left {
                None => passes + 1,
                Some(Left::Full(short)) => {
                    self.0.get_mut().widen(short)?;
                    0
                }
                Some(Left::Granting) => {
                    timer::sleep(1);
                    patience -= 1;
                    0
                }
            };
        }
        Ok(self.0.into_inner().records)
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
