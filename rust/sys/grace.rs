// SPDX-License-Identifier: GPL-2.0-only

//! Our own entry on the list that stock kernels judge by.
//!
//! Each network namespace has a list of lock managers in their grace period (`grace_list`,
//! `fs/nfs_common/grace.c`); `locks_in_grace()` is true while it is not empty. While a unit is
//! active we stand on it too, so that a verdict that could not be adjusted makes a client wait.
//! Our hooks then have to know what the answer is without us, and walk the list for it.
//!
//! `grace_lock` is private to grace.ko, so the walk is lockless. That is sound because entries
//! are never freed under a walker: those of lockd and nfsd are part of their per-namespace data,
//! which outlives every request and every writer of a control file in the namespace, and ours are
//! freed after a grace period of RCU, which the walker holds off. A neighbour that is being
//! unlinked can lead astray (`list_del_init()` lets it point to itself); the walk is bounded and
//! answers "in grace" when it does not come back to the head.

use crate::{
    bindings,
    sys::{
        fprobe::{
            Entry as Entered,
            Exit,
            Function, //
        },
        net::Net, //
    }, //
};
use core::ptr;
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        rcu::Guard,
        Arc, //
    },
    types::Opaque, //
};

/// A function that tells whether a network namespace is in a grace period: `function(net)`.
pub(crate) trait Question: Function {
    /// Only entries that block opens count.
    const OPENS: bool;
}

/// `locks_in_grace(net)`.
pub(crate) struct LocksInGrace;

impl Function for LocksInGrace {
    const SYMBOL: &'static CStr = c"locks_in_grace";
}

impl Question for LocksInGrace {
    const OPENS: bool = false;
}

/// `opens_in_grace(net)`.
pub(crate) struct OpensInGrace;

impl Function for OpensInGrace {
    const SYMBOL: &'static CStr = c"opens_in_grace";
}

impl Question for OpensInGrace {
    const OPENS: bool = true;
}

impl<Q: Question> Entered<'_, Q> {
    /// Of whom it is asked.
    pub(crate) fn net(&self) -> Net {
        Net::from_argument(self.argument(0))
    }
}

impl<Q: Question> Exit<'_, Q> {
    /// Replaces the answer.
    pub(crate) fn answer(&self, in_grace: bool) {
        self.set_value(in_grace.into());
    }
}

/// More entries than a list ever has: lockd, nfsd, two of ours and room to spare.
const MAX_WALK: usize = 16;

/// How often [`Manager::enter`] tries to find the head of the list.
const MAX_TRIES: usize = 16;

/// One `struct lock_manager`.
///
/// # Invariants
///
/// The entry is initialised, and on a list only between [`Entry::start`] and [`Entry::end`].
#[pin_data]
struct Entry {
    #[pin]
    raw: Opaque<bindings::lock_manager>,
}

impl Entry {
    fn new(block_opens: bool) -> impl PinInit<Self> {
        pin_init!(Self {
            raw <- Opaque::ffi_init(|slot: *mut bindings::lock_manager| {
                // SAFETY: `slot` is valid for writes; an unlinked entry points to itself.
                unsafe {
                    let list = &raw mut (*slot).list;
                    (&raw mut (*list).next).write(list);
                    (&raw mut (*list).prev).write(list);
                    (&raw mut (*slot).block_opens).write(block_opens);
                }
            }),
        })
    }

    fn link(&self) -> *mut bindings::list_head {
        // SAFETY: Only computes the address of a field.
        unsafe { &raw mut (*self.raw.get()).list }
    }

    fn start(&self, net: Net) {
        // SAFETY: The entry is not on a list (its owner pairs start and end), it stays in place
        // until `end`, and `net` is alive: the caller holds a file of it open.
        unsafe { bindings::locks_start_grace(net.as_ptr(), self.raw.get()) };
    }

    fn end(&self) {
        // SAFETY: The entry is initialised; ending twice is allowed.
        unsafe { bindings::locks_end_grace(self.raw.get()) };
    }

    fn next(&self) -> *mut bindings::list_head {
        // SAFETY: The entry is initialised.
        unsafe { load(&raw mut (*self.link()).next) }
    }

    fn prev(&self) -> *mut bindings::list_head {
        // SAFETY: The entry is initialised.
        unsafe { load(&raw mut (*self.link()).prev) }
    }
}

/// `READ_ONCE()` of a list pointer.
///
/// # Safety
///
/// `at` must point into a live entry or list head.
unsafe fn load(at: *mut *mut bindings::list_head) -> *mut bindings::list_head {
    // SAFETY: By the safety requirements.
    unsafe { at.read_volatile() }
}

/// The grace period of one network namespace, as far as it is ours.
#[pin_data]
pub(crate) struct Manager {
    net: Net,
    #[pin]
    entry: Entry,
    /// Stands behind `entry` for a moment, see [`Manager::enter`]. Like `entry` it must not be freed
    /// before all who may stand on it while they walk the list are through.
    #[pin]
    witness: Entry,
    /// The head of the list, null until it is known.
    head: Atomic<*mut bindings::list_head>,
    /// The stock answers just before we entered, used until the head is known.
    before: [bool; 2],
}

// SAFETY: The entries are modified only under `grace_lock`, by start and end; all else is atomic or
// constant.
unsafe impl Send for Manager {}
// SAFETY: As above.
unsafe impl Sync for Manager {}

impl Manager {
    /// Prepares an entry for `net`; it is not on the list yet.
    pub(crate) fn new(net: Net) -> Result<Arc<Self>> {
        // SAFETY: `net` is alive: the caller holds a file of it open.
        let before = unsafe {
            [
                bindings::locks_in_grace(net.as_ptr()),
                bindings::opens_in_grace(net.as_ptr()),
            ]
        };
        Arc::pin_init(
            pin_init!(Self {
                net,
                entry <- Entry::new(true),
                witness <- Entry::new(false),
                head: Atomic::new(ptr::null_mut()),
                before,
            }),
            GFP_KERNEL,
        )
    }

    /// Whose grace period it is.
    pub(crate) fn net(&self) -> Net {
        self.net
    }

    /// Enters the list. Hooks must already be able to find this manager: from here on the stock
    /// answer is "in grace".
    ///
    /// The head of the list is not exported. New entries go to its front, so it is what stands
    /// before the newest one; a second entry proves that nobody came in between.
    pub(crate) fn enter(&self) -> Result {
        for _ in 0..MAX_TRIES {
            self.entry.start(self.net);
            let head = self.entry.prev();
            self.witness.start(self.net);
            let proven = self.witness.next() == self.entry.link() && self.witness.prev() == head;
            self.witness.end();
            if proven {
                self.head.store(head, Release);
                return Ok(());
            }
            self.entry.end();
        }
        Err(EAGAIN)
    }

    /// Leaves the list.
    pub(crate) fn leave(&self) {
        self.entry.end();
    }

    /// What is needed to tell the stock answer without us, also when we have left since.
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            head: self.head.load(Acquire),
            before: self.before,
        }
    }

    /// Whether anybody else is in a grace period: what `locks_in_grace()`, or with `opens`
    /// `opens_in_grace()`, would answer without us.
    pub(crate) fn others(&self, opens: bool, guard: &Guard) -> bool {
        self.mark().others_than(self.entry.link(), opens, guard)
    }
}

/// Where to look for the grace periods of a network namespace.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    head: *mut bindings::list_head,
    before: [bool; 2],
}

impl Mark {
    /// As [`Manager::others`], when our own entry has left the list.
    pub(crate) fn others(self, opens: bool, guard: &Guard) -> bool {
        self.others_than(ptr::null_mut(), opens, guard)
    }

    fn others_than(self, ours: *mut bindings::list_head, opens: bool, _guard: &Guard) -> bool {
        let head = self.head;
        if head.is_null() {
            return self.before[usize::from(opens)];
        }
        // SAFETY: The head is part of the namespace's data. A request or a writer in the
        // namespace keeps it alive.
        let mut at = unsafe { load(&raw mut (*head).next) };
        for _ in 0..MAX_WALK {
            if at == head {
                return false;
            }
            // SAFETY: `at` is a live entry, see the head of this file. `list` is the first field
            // of a lock manager.
            let blocks = unsafe {
                !opens || (&raw const (*at.cast::<bindings::lock_manager>()).block_opens).read()
            };
            if at != ours && blocks {
                return true;
            }
            // SAFETY: As above.
            at = unsafe { load(&raw mut (*at).next) };
        }
        true
    }
}
