// SPDX-License-Identifier: GPL-2.0-only

//! Manifests: what a unit held when it was released, and what of it is outstanding.
//!
//! A [`Manifest`] does not change but for what is outstanding, which a spinlock guards that hooks
//! take; nothing is called under it. It is shared by the unit, by descriptors that read it and,
//! before its unit recovers, by the registry.

use super::hosts::Met;
use crate::{
    ledger::{
        gather::Records,
        print::Printer,
        range::listed::covered,
        Entry,
        Ledger,
        Outstanding, //
    },
    policy::{
        claim::Has,
        line::Progress,
        manifest::text::{
            Header,
            Line, //
        },
        state::{
            client::Host,
            range::Range, //
        },
        verdict::{
            Op,
            Request,
            What, //
        },
    },
    sys::{
        lockd::{
            file::File,
            locks, //
        },
        net::Net, //
    },
};
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        SpinLock, //
    },
};

/// Maximum number of locks of one client in the range of one reclaim that are looked at.
const MAX_HELD: usize = 16;

/// A manifest.
#[pin_data]
pub(crate) struct Manifest {
    header: Header,
    ledger: Ledger,
    #[pin]
    met: Met,
    #[pin]
    outstanding: SpinLock<Outstanding>,
    /// Locks and shares of which anything is outstanding.
    left: Atomic<u64>,
    /// Something is missing on it.
    spoiled: Atomic<bool>,
}

impl Manifest {
    /// Makes a manifest of what was taken down. May sleep.
    ///
    /// Returns `EINVAL` if it contradicts itself and `E2BIG` if it is too long.
    pub(crate) fn new(header: Header, records: Records) -> Result<Arc<Self>> {
        let ledger = Ledger::new(records)?;
        let outstanding = Outstanding::new(&ledger)?;
        let left = outstanding.left();
        let met = Met::new(&ledger)?;
        Arc::pin_init(
            pin_init!(Self {
                header,
                ledger,
                met <- met,
                outstanding <- new_spinlock!(outstanding),
                left: Atomic::new(left),
                spoiled: Atomic::new(false),
            }),
            GFP_KERNEL,
        )
    }

    /// What it is about.
    pub(crate) fn header(&self) -> Header {
        self.header
    }

    /// When it was taken, if it is of a unit.
    pub(crate) fn taken(&self) -> Option<u64> {
        match self.header {
            Header::Released { taken, .. } => Some(taken),
            Header::Held { .. } => None,
        }
    }

    /// Whether what NFSv4 clients had is on a list of its own.
    pub(crate) fn lists_nfs4(&self) -> bool {
        self.header.lists_nfs4()
    }

    /// How far it is.
    pub(crate) fn progress(&self) -> Progress {
        Progress {
            listed: self.ledger.len() as u64,
            outstanding: self.left.load(Relaxed),
        }
    }

    /// Something was found that is missing on it.
    pub(crate) fn spoil(&self) {
        self.spoiled.store(true, Relaxed);
    }

    /// Whether it must not be believed.
    pub(crate) fn spoiled(&self) -> bool {
        self.spoiled.load(Relaxed)
    }

    /// Settles what is in `records`: clients hold it again, even if the hook that settles a granted
    /// reclaim has not run yet.
    pub(crate) fn settle_held(&self, net: Net, records: &Records) {
        records.each(|who, what| {
            let owner = self.met.holds(&self.ledger, &who.host, who.name, Some(net));
            self.settle_what(owner, what);
        });
    }

    /// Adds what is outstanding to `records`: of those who hold it by now. May sleep.
    pub(crate) fn carry_into(&self, records: &mut Records) -> Result {
        for entry in self.ledger.held() {
            let mut from = 0;
            while let Some((line, next)) = self.line(entry, from) {
                let (owner, _) = self.ledger.who(entry);
                records.add(&line, self.met.became(owner))?;
                from = next;
            }
        }
        Ok(())
    }

    /// Whether nothing is outstanding.
    pub(crate) fn over(&self) -> bool {
        self.left.load(Relaxed) == 0
    }

    /// Whether the client held what it reclaims. Does not sleep.
    pub(crate) fn lists(&self, net: Option<Net>, request: &Request<'_>) -> bool {
        let owner = self.met.asks(&self.ledger, request, net);
        let listed = self.ledger.lists(owner, &request.what);
        if let (true, Some(owner)) = (listed, owner) {
            self.met.bind(&self.ledger, owner, request);
        }
        listed
    }

    /// Whether what is asked for as new conflicts with something of another holder that is
    /// outstanding, or may do so. Does not sleep.
    pub(crate) fn conflicts(&self, net: Option<Net>, request: &Request<'_>) -> bool {
        if self.over() {
            return false;
        }
        let owner = self.met.asks(&self.ledger, request, net);
        self.conflicts_for(owner, &request.what)
    }

    /// The same for host number `owner`, if the one that asks is listed.
    fn conflicts_for(&self, owner: Option<u32>, what: &What<'_>) -> bool {
        match self.ledger.file_of(what) {
            Some(file) => {
                let outstanding = self.outstanding.lock();
                outstanding.conflicts(&self.ledger, file, owner, what)
            }
            None => self.ledger.may_have_file_of(what) && !self.over(),
        }
    }

    /// See [`crate::unit::unit::Unit::has_by_now`].
    pub(super) fn has_by_now(
        &self,
        net: Option<Net>,
        request: &Request<'_>,
        file: &File<'_>,
    ) -> Option<Has> {
        let (What::Range(_, range), Some(host)) = (request.what, request.host()) else {
            return None;
        };
        let mut held = [Range {
            start: 1,
            end: 0,
            ..range
        }; MAX_HELD];
        let (mut len, mut lesser) = (0, false);
        file.locks(|mut locks| {
            let mut note = |holder: &locks::Holder<'_>, ranges: &mut locks::Ranges<'_>| {
                if holder.svid != range.svid || holder.host.identity() != host {
                    return;
                }
                let overlaps =
                    ranges.filter(|(start, end)| *start <= range.end && range.start <= *end);
                for ((start, end), slot) in overlaps.zip(held.iter_mut().skip(len)) {
                    *slot = Range {
                        exclusive: holder.exclusive,
                        start,
                        end,
                        ..range
                    };
                    len += 1;
                    lesser |= range.exclusive && !holder.exclusive;
                }
            };
            while locks.run(&mut note).is_some() {}
        });
        let held = &held[..len];
        let alone = covered(&range, held, |_| None);
        // Who has all of it here need not be the one that is listed.
        let owner = if alone {
            self.met.holds(&self.ledger, &host, request.name, net)
        } else {
            self.met.asks(&self.ledger, request, net)
        };
        // lockd knows only what conflicts with locks that are back.
        let conflicts = lesser && self.conflicts_for(owner, &request.what);
        let file = self.ledger.file_of(&request.what);
        let has = !conflicts
            && covered(&range, held, |start| {
                let locks = self.ledger.locks();
                locks.reach(file?, owner?, &Range { start, ..range })
            });
        if let (true, false, Some(owner)) = (has, alone, owner) {
            self.met.bind(&self.ledger, owner, request);
        }
        let all = alone && !lesser;
        has.then_some(if all { Has::All } else { Has::Rest })
    }

    /// Takes down that a client has back, or gave up, what `request` is about. Tells whether this
    /// was the last. Does not sleep.
    pub(crate) fn settle(&self, net: Option<Net>, request: &Request<'_>) -> bool {
        let owner = match (request.op, request.host()) {
            (Op::Release, _) => self.met.asks(&self.ledger, request, net),
            // Who has something here need not be the one that is listed.
            (_, Some(host)) => self.met.holds(&self.ledger, &host, request.name, net),
            (_, None) => None,
        };
        self.settle_what(owner, &request.what)
    }

    /// As [`Manifest::settle`], of what somebody gave up before there was a manifest.
    pub(super) fn settle_given_up(&self, host: &Host, what: &What<'_>) {
        let owner = self.met.holds(&self.ledger, host, &[], None);
        self.settle_what(owner, what);
    }

    /// Takes down that a client has given up all that is listed of `host`, or if `whole` of its
    /// address. Tells whether this was the last. May sleep.
    pub(super) fn settle_host(&self, host: &Host, whole: bool) -> bool {
        let mut last = false;
        for entry in self.ledger.held() {
            let (owner, who) = self.ledger.who(entry);
            let now = self.met.became(owner).unwrap_or(who.host);
            if now == *host || (whole && now.client == host.client) {
                last |= self.change(|outstanding| outstanding.settle_entry(&self.ledger, entry));
            }
        }
        last
    }

    fn settle_what(&self, owner: Option<u32>, what: &What<'_>) -> bool {
        let (Some(owner), Some(file)) = (owner, self.ledger.file_of(what)) else {
            return false;
        };
        self.change(|outstanding| outstanding.settle(&self.ledger, file, owner, what))
    }

    /// Changes what is outstanding; tells whether this took the last.
    fn change(&self, f: impl FnOnce(&mut Outstanding)) -> bool {
        let mut outstanding = self.outstanding.lock();
        f(&mut outstanding);
        let left = outstanding.left();
        let before = self.left.load(Relaxed);
        self.left.store(left, Relaxed);
        before > 0 && left == 0
    }

    /// See [`Outstanding::line`].
    fn line(&self, entry: Entry, from: u64) -> Option<(Line<'_>, u64)> {
        self.outstanding.lock().line(&self.ledger, entry, from)
    }

    /// Takes a step through the lines of what is outstanding by now.
    pub(super) fn print(&self, printer: &mut Printer) -> Option<Line<'_>> {
        printer.step(&self.ledger, &self.outstanding.lock())
    }
}
