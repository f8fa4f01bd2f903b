// SPDX-License-Identifier: GPL-2.0-only

//! Manifests: what a unit held when it was released, and what of it is outstanding.
//!
//! A [`Manifest`] does not change but for what is outstanding, which a spinlock guards that hooks
//! take; nothing is called under it. It is shared by the unit, by descriptors that read it and,
//! before its unit recovers, by the registry.

pub(crate) mod capture;
mod chunks;
pub(crate) mod load;
pub(crate) mod reader;
pub(crate) mod records;

use crate::policy::{
    line::Progress,
    manifest::{
        fileid::FileId,
        listed::{
            covered,
            order_by_holder,
            start_files,
            Listed, //
        },
        outstanding::{
            Hole,
            Outstanding,
            Rest,
            State, //
        },
        text::{
            Header,
            Line,
            Range,
            Share, //
        },
        tree, //
    },
    verdict::{
        Request,
        What, //
    },
};
use crate::sys::{
    lockd,
    locks, //
};
use core::net::IpAddr;
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
use records::Records;

/// Most locks of one client in the range of one reclaim that are looked at.
const MAX_HELD: usize = 16;

/// Where the locks of a file, and of a holder, are found.
struct Order {
    starts: KVVec<u32>,
    by_holder: KVVec<u32>,
}

impl Order {
    /// May sleep.
    fn new(records: &Records) -> Result<Self> {
        let mut starts = KVVec::from_elem(0, records.files() + 1, GFP_KERNEL)?;
        start_files(&records.locks, &mut starts);
        let mut by_holder = KVVec::with_capacity(records.locks.len(), GFP_KERNEL)?;
        for at in 0..records.locks.len() {
            by_holder.push(at as u32, GFP_KERNEL)?;
        }
        order_by_holder(&records.locks, &mut by_holder);
        Ok(Self { starts, by_holder })
    }

    fn listed<'a>(&'a self, records: &'a Records) -> Listed<'a> {
        Listed {
            locks: &records.locks,
            starts: &self.starts,
            by_holder: &self.by_holder,
        }
    }
}

/// What changes.
struct Live {
    rest: KVVec<Rest>,
    any: KVVec<u64>,
    exclusive: KVVec<u64>,
    holes: KVVec<Hole>,
    state: State,
    /// For each share, whether it is outstanding, and how many are.
    shares: KVVec<bool>,
    shares_left: u64,
}

/// A manifest.
#[pin_data]
pub(crate) struct Manifest {
    header: Header,
    records: Records,
    order: Order,
    #[pin]
    live: SpinLock<Live>,
    /// Locks and shares of which anything is outstanding.
    outstanding: Atomic<u64>,
    /// Something is missing on it.
    spoiled: Atomic<bool>,
}

impl Manifest {
    /// Makes a manifest of what was taken down. May sleep.
    ///
    /// Returns `EINVAL` if it contradicts itself and `E2BIG` if it is too long.
    pub(crate) fn new(header: Header, mut records: Records) -> Result<Arc<Self>> {
        records.arrange()?;
        let len = records.locks.len();
        let order = Order::new(&records)?;
        let mut live = Live {
            rest: KVVec::from_elem(Rest::NONE, len, GFP_KERNEL)?,
            any: KVVec::from_elem(0, tree::len(len), GFP_KERNEL)?,
            exclusive: KVVec::from_elem(0, tree::len(len), GFP_KERNEL)?,
            holes: KVVec::from_elem(Hole::NONE, len / 16 + 64, GFP_KERNEL)?,
            state: State::default(),
            shares: KVVec::from_elem(true, records.shares.len(), GFP_KERNEL)?,
            shares_left: records.shares.len() as u64,
        };
        live.of(order.listed(&records)).reset();
        let outstanding = (len + records.shares.len()) as u64;
        Arc::pin_init(
            pin_init!(Self {
                header,
                records,
                order,
                live <- new_spinlock!(live),
                outstanding: Atomic::new(outstanding),
                spoiled: Atomic::new(false),
            }),
            GFP_KERNEL,
        )
    }

    /// What it is about.
    pub(crate) fn header(&self) -> Header {
        self.header
    }

    /// How far it is.
    pub(crate) fn progress(&self) -> Progress {
        Progress {
            listed: (self.records.locks.len() + self.records.shares.len()) as u64,
            outstanding: self.outstanding.load(Relaxed),
        }
    }

    fn listed(&self) -> Listed<'_> {
        self.order.listed(&self.records)
    }

    /// Something was found that is missing on it.
    pub(crate) fn spoil(&self) {
        self.spoiled.store(true, Relaxed);
    }

    /// Whether it must not be believed.
    pub(crate) fn spoiled(&self) -> bool {
        self.spoiled.load(Relaxed)
    }

    /// Takes down that clients have back what is in `records`, before [`Records::arrange`]: a release
    /// may have run ahead of the hook that tells what became of a reclaim.
    pub(crate) fn settle_held(&self, records: &Records) {
        records.each_new_lock(|id, client, range| {
            self.settle_range(id, client, range);
        });
        records.each_new_share(|id, client, share| {
            self.settle_share(id, client, share);
        });
    }

    /// Adds what is outstanding to `records`. May sleep.
    pub(crate) fn carry_into(&self, records: &mut Records) -> Result {
        for at in 0..self.records.locks.len() {
            let mut part = 0;
            while let Some(Line::Lock(who, range)) = self.part(at, part) {
                records.add_lock(&who, range)?;
                part += 1;
            }
        }
        for (at, share) in self.records.shares.iter().enumerate() {
            if self.live.lock().shares[at] {
                let who = self.records.who_shares(share);
                records.add_share(&who, self.records.share_of(share))?;
            }
        }
        Ok(())
    }

    /// Whether nothing is outstanding.
    pub(crate) fn over(&self) -> bool {
        self.outstanding.load(Relaxed) == 0
    }

    /// Whether the client held what it reclaims. Does not sleep.
    pub(crate) fn lists(&self, request: &Request<'_>) -> bool {
        let place = |id| {
            let owner = self.records.find_owner(request.client?)?;
            Some((self.records.find_file(id)?, owner))
        };
        match request.what {
            What::Range(id, range) => {
                place(id).is_some_and(|(file, owner)| self.listed().lists(file, owner, &range))
            }
            What::Share(id, wanted) => place(id).is_some_and(|place| {
                self.records.shares.iter().any(|share| {
                    (share.file, share.owner) == place
                        && self.records.share_of(share).owner == wanted.owner
                })
            }),
            // Nothing is known of it, so it loses nothing.
            What::Cancel(..) | What::Other => true,
        }
    }

    /// Whether what is asked for as new conflicts with something of another holder that is
    /// outstanding, or may do so. Does not sleep.
    pub(crate) fn conflicts(&self, request: &Request<'_>) -> bool {
        if self.over() {
            return false;
        }
        let owner = request
            .client
            .and_then(|address| self.records.find_owner(address));
        match request.what {
            What::Range(id, range) => self.conflicts_on(id, |live, file| {
                live.of(self.listed()).conflicts(file, owner, &range)
            }),
            What::Share(id, wanted) => self.conflicts_on(id, |live, file| {
                let mut shares = self.records.shares.iter().zip(&live.shares);
                shares.any(|(share, outstanding)| {
                    let held = self.records.share_of(share);
                    let own = Some(share.owner) == owner && held.owner == wanted.owner;
                    share.file == file && *outstanding && !own && held.conflicts(&wanted)
                })
            }),
            // Nothing is known of it, so it waits for all.
            What::Cancel(..) | What::Other => true,
        }
    }

    fn conflicts_on(&self, id: FileId<'_>, f: impl FnOnce(&mut Live, u32) -> bool) -> bool {
        match self.records.find_file(id) {
            Some(file) => f(&mut self.live.lock(), file),
            None => self.may_be_any(id),
        }
    }

    /// See [`super::Unit::has_by_now`].
    pub(super) fn has_by_now(&self, request: &Request<'_>, file: &lockd::File<'_>) -> bool {
        let (What::Range(id, range), Some(client)) = (request.what, request.client) else {
            return false;
        };
        let mut held = [Range {
            start: 1,
            end: 0,
            ..range
        }; MAX_HELD];
        let (mut len, mut lesser) = (0, false);
        file.locks(|mut locks| {
            let mut note = |holder: &locks::Holder<'_>, ranges: &mut locks::Ranges<'_>| {
                if holder.svid != range.svid || holder.host.client() != Some(client) {
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
        let owner = self.records.find_owner(client);
        let file = self.records.find_file(id);
        let mut live = self.live.lock();
        let outstanding = live.of(self.listed());
        // lockd knows only what conflicts with locks that are back.
        let conflicts = lesser
            && match file {
                Some(file) => outstanding.conflicts(file, owner, &range),
                None => self.may_be_any(id),
            };
        !conflicts
            && covered(&range, &held[..len], |start| {
                outstanding
                    .listed
                    .reach(file?, owner?, &Range { start, ..range })
            })
    }

    /// A file that is not on the list may still be one that is, by another handle.
    fn may_be_any(&self, id: FileId<'_>) -> bool {
        (self.records.opaque || matches!(id, FileId::Opaque(_))) && !self.over()
    }

    /// Takes down that a client has back, or gave up, what `request` is about. Tells whether this
    /// was the last. Does not sleep.
    pub(crate) fn settle(&self, request: &Request<'_>) -> bool {
        match (request.what, request.client) {
            (What::Range(id, range), Some(client)) => self.settle_range(id, client, &range),
            (What::Cancel(id, range), Some(client)) => self.settle_cancelled(id, client, &range),
            (What::Share(id, share), Some(client)) => self.settle_share(id, client, &share),
            (What::Other, _) | (_, None) => false,
        }
    }

    /// As [`Manifest::settle`].
    pub(super) fn settle_range(&self, id: FileId<'_>, client: IpAddr, range: &Range) -> bool {
        self.settle_with(id, client, |live, file, owner| {
            live.of(self.listed()).settle(file, owner, range);
        })
    }

    /// As [`Manifest::settle`].
    pub(super) fn settle_cancelled(&self, id: FileId<'_>, client: IpAddr, range: &Range) -> bool {
        self.settle_with(id, client, |live, file, owner| {
            live.of(self.listed()).settle_cancelled(file, owner, range);
        })
    }

    fn settle_share(&self, id: FileId<'_>, client: IpAddr, wanted: &Share<'_>) -> bool {
        self.settle_with(id, client, |live, file, owner| {
            for (at, share) in self.records.shares.iter().enumerate() {
                if (share.file, share.owner) == (file, owner)
                    && self.records.share_of(share).owner == wanted.owner
                    && core::mem::replace(&mut live.shares[at], false)
                {
                    live.shares_left -= 1;
                }
            }
        })
    }

    fn settle_with(
        &self,
        id: FileId<'_>,
        client: IpAddr,
        settle: impl FnOnce(&mut Live, u32, u32),
    ) -> bool {
        let (Some(owner), Some(file)) =
            (self.records.find_owner(client), self.records.find_file(id))
        else {
            return false;
        };
        let mut live = self.live.lock();
        settle(&mut live, file, owner);
        let outstanding = u64::from(live.state.outstanding) + live.shares_left;
        let before = self.outstanding.load(Relaxed);
        self.outstanding.store(outstanding, Relaxed);
        before > 0 && outstanding == 0
    }

    /// Outstanding part number `part` of lock number `at`.
    fn part(&self, at: usize, part: usize) -> Option<Line<'_>> {
        let lock = self.records.locks.get(at)?;
        let mut live = self.live.lock();
        let part = live.of(self.listed()).part(at, part)?;
        Some(Line::Lock(self.records.who(lock), part))
    }
}

impl Live {
    fn of<'a>(&'a mut self, listed: Listed<'a>) -> Outstanding<'a> {
        Outstanding {
            listed,
            rest: &mut self.rest,
            any: &mut self.any,
            exclusive: &mut self.exclusive,
            holes: &mut self.holes,
            state: &mut self.state,
        }
    }
}
