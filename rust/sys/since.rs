// SPDX-License-Identifier: GPL-2.0-only

//! Since when each network namespace is known, how often locks were taken away in it and how often
//! anything has changed there, kept where the namespace keeps its own.
//!
//! The memory comes and goes with the namespace: anybody may make one, and that costs this module
//! nothing that it would have to bound. A namespace that gets the address of an old one starts anew.
//!
//! C header: [`include/net/netns/generic.h`](srctree/include/net/netns/generic.h)

use crate::{
    bindings,
    sys::{
        net::Net,
        timer, //
    }, //
};
use kernel::{
    error::to_result,
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Full,
        Relaxed, //
    },
    types::Opaque, //
};

/// What is kept of a namespace. All zeroes are one.
struct Kept {
    /// Nanoseconds of the wall clock.
    since: Atomic<u64>,
    taken_away: Atomic<u64>,
    /// How many of these were before the last recovery to which clients came.
    answered: Atomic<u64>,
    changes: Atomic<u64>,
}

/// Where in a namespace that is. Set by the registration, and constant from then on.
static ID: Atomic<c_uint> = Atomic::new(0);

/// Has it noted when each namespace began; those that are there began when this does.
///
/// # Invariants
///
/// `ops` is registered while the value lives; it is unregistered once, in `drop`.
#[pin_data(PinnedDrop)]
pub(crate) struct Since {
    #[pin]
    ops: Opaque<bindings::pernet_operations>,
}

// SAFETY: Nothing of the operations is accessed between registration and `drop`.
unsafe impl Send for Since {}
// SAFETY: As above.
unsafe impl Sync for Since {}

impl Since {
    /// Begins to note.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            ops <- Opaque::try_ffi_init(|slot: *mut bindings::pernet_operations| {
                let ops = bindings::pernet_operations {
                    init: Some(init),
                    id: ID.as_ptr(),
                    size: size_of::<Kept>(),
                    ..Default::default()
                };
                // SAFETY: `slot` is valid for writes.
                unsafe { slot.write(ops) };
                // SAFETY: `slot` is initialised and pinned until `drop` unregisters it.
                to_result(unsafe { bindings::register_pernet_subsys(slot) })
            }),
        }? Error)
    }

    /// The time since which everything is known of `net`, in nanoseconds of the wall clock.
    ///
    /// The namespace must be there, as it is while a file of it is open or a unit is active in it.
    pub(crate) fn of(net: Net) -> u64 {
        kept(net).since.load(Relaxed)
    }

    /// Nothing from before `time` is known of `net` any more.
    pub(crate) fn forget(net: Net, until: u64) {
        let time = &kept(net).since;
        time.store(time.load(Relaxed).max(until), Relaxed);
    }

    /// Locks of clients in `net` are taken away otherwise than by a release of ours. Tells whether
    /// [`Since::unanswered`] was 0 before. Does not sleep.
    pub(crate) fn take_away(net: Net) -> bool {
        let kept = kept(net);
        kept.taken_away.fetch_add(1, Full) == kept.answered.load(Relaxed)
    }

    /// How often that was noted.
    pub(crate) fn taken_away(net: Net) -> u64 {
        kept(net).taken_away.load(Acquire)
    }

    /// Clients came to a recovery; when that began, locks had been taken away so often. The caller
    /// is alone with it.
    pub(crate) fn answer(net: Net, taken_away: u64) {
        let answered = &kept(net).answered;
        answered.store(answered.load(Relaxed).max(taken_away), Relaxed);
    }

    /// How often locks were taken away since the last recovery to which clients came.
    pub(crate) fn unanswered(net: Net) -> u64 {
        let kept = kept(net);
        let answered = kept.answered.load(Relaxed);
        kept.taken_away.load(Acquire).saturating_sub(answered)
    }

    /// Something has changed in `net`, and can be seen by now. Does not sleep.
    pub(super) fn change(net: Net) {
        kept(net).changes.fetch_add(1, Full);
    }

    /// How often something has. What is looked at after that is no older.
    pub(super) fn changes(net: Net) -> u64 {
        kept(net).changes.load(Acquire)
    }
}

#[pinned_drop]
impl PinnedDrop for Since {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants the operations are registered.
        unsafe { bindings::unregister_pernet_subsys(self.ops.get()) };
    }
}

fn kept<'a>(net: Net) -> &'a Kept {
    // SAFETY: Whoever asks holds the namespace, and is gone before the operations are, which have
    // the namespace code keep that many zeroed bytes for us. All zeroes are numbers. Hooks are
    // called about hosts, in whose namespace lockd itself keeps their number.
    unsafe { &*bindings::rust_helper_net_generic(net.as_ptr(), ID.load(Relaxed)).cast() }
}

/// # Safety
///
/// Only the network namespace code calls this, with a namespace that begins or is there.
unsafe extern "C" fn init(net: *mut bindings::net) -> c_int {
    kept(Net::from_raw(net)).since.store(timer::wall(), Relaxed);
    0
}
