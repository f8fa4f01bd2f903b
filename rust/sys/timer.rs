// SPDX-License-Identifier: GPL-2.0-only

//! A clock, and a function that runs once at a time set for it.
//!
//! The function runs in a workqueue and may sleep. After `drop` it is not running and will not
//! run again; whoever drops the timer must not hold a lock the function takes.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use crate::bindings;
use kernel::{
    c_str,
    prelude::*,
    static_lock_class,
    types::Opaque, //
};

/// Nanoseconds of the monotonic clock.
pub(crate) fn now() -> i64 {
    // SAFETY: Reading the clock has no requirements.
    unsafe { bindings::ktime_get() }
}

/// Nanoseconds of the wall clock.
pub(crate) fn wall() -> u64 {
    // SAFETY: Reading the clock has no requirements.
    let now = unsafe { bindings::ktime_get_with_offset(bindings::tk_offsets_TK_OFFS_REAL) };
    now.max(0) as u64
}

/// Sleeps.
pub(crate) fn sleep(milliseconds: u32) {
    // SAFETY: The callers of this module's sleeping functions may sleep.
    unsafe { bindings::msleep(milliseconds) };
}

/// A timer.
///
/// # Invariants
///
/// `work` is initialised and runs `function`.
#[pin_data(PinnedDrop)]
pub(crate) struct Timer {
    #[pin]
    work: Opaque<bindings::delayed_work>,
    function: fn(),
}

// SAFETY: The workqueue code synchronises all access to its work items.
unsafe impl Send for Timer {}
// SAFETY: As above.
unsafe impl Sync for Timer {}

impl Timer {
    /// Creates a timer that is not set. `function` runs in a workqueue and may sleep.
    pub(crate) fn new(function: fn()) -> impl PinInit<Self> {
        pin_init!(Self {
            work <- Opaque::ffi_init(|slot: *mut bindings::delayed_work| {
                // SAFETY: `slot` is valid for writes and pinned, `run` is a work function, and a
                // delayed work's timer runs `delayed_work_timer_fn` in irqsafe context.
                unsafe {
                    bindings::init_work_with_key(
                        &raw mut (*slot).work,
                        Some(run),
                        false,
                        c_str!("nfs_failover").as_char_ptr(),
                        static_lock_class!().as_ptr(),
                    );
                    bindings::timer_init_key(
                        &raw mut (*slot).timer,
                        Some(bindings::delayed_work_timer_fn),
                        bindings::TIMER_IRQSAFE,
                        c_str!("nfs_failover_timer").as_char_ptr(),
                        static_lock_class!().as_ptr(),
                    );
                }
            }),
            function,
        })
    }

    /// Sets the time, in nanoseconds from now; an earlier setting is forgotten.
    pub(crate) fn arm(&self, nanoseconds: i64) {
        // Rounded up, so that what is due is over when the function runs.
        let milliseconds = nanoseconds.max(0) as u64 / 1_000_000 + 1;
        // SAFETY: By the type invariants the work is initialised.
        unsafe {
            let delay = bindings::__msecs_to_jiffies(milliseconds.min(u32::MAX.into()) as u32);
            bindings::mod_delayed_work_on(
                bindings::wq_misc_consts_WORK_CPU_UNBOUND as c_int,
                bindings::system_dfl_wq,
                self.work.get(),
                delay + 1,
            );
        }
    }
}

#[pinned_drop]
impl PinnedDrop for Timer {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants the work is initialised.
        unsafe { bindings::cancel_delayed_work_sync(self.work.get()) };
    }
}

/// # Safety
///
/// Only the workqueue code calls this, with the work of a [`Timer`].
unsafe extern "C" fn run(work: *mut bindings::work_struct) {
    // SAFETY: By the safety requirements it is part of a timer, which `drop` keeps until this has
    // returned.
    let timer = unsafe {
        let work = kernel::container_of!(work, bindings::delayed_work, work);
        &*kernel::container_of!(Opaque::cast_from(work), Timer, work)
    };
    (timer.function)();
}
