// SPDX-License-Identifier: GPL-2.0-only

//! Hooks: functions of the kernel that tell us when they are entered and left.
//!
//! A handler runs in the context of its function's caller with preemption disabled, so it must
//! not sleep, and it is an RCU reader. It may change one argument on entry or the return value on
//! exit; the function itself always runs. Handlers of a [`Probe`] have returned for good when its
//! `drop` is over (`unregister_fprobe()` waits for them).
//!
//! C header: [`include/linux/fprobe.h`](srctree/include/linux/fprobe.h)

use crate::bindings;
use core::marker::PhantomData;
use kernel::{
    error::to_result,
    prelude::*,
    types::Opaque, //
};

/// A function to hook and what to do there.
pub(crate) trait Hook: 'static {
    /// Name of the function.
    const SYMBOL: &'static CStr;

    /// Whether [`Hook::leave`] is called. A call costs half if not.
    const LEAVES: bool = true;

    /// What [`Hook::enter`] remembers for [`Hook::leave`].
    type Data: Copy;

    /// Called before the function runs. [`None`] lets the function go unobserved.
    fn enter(call: &Entry<'_>) -> Option<Self::Data>;

    /// Called after the function ran.
    fn leave(_call: &Exit<'_>, _data: Self::Data) {}
}

/// A function about to run.
///
/// # Invariants
///
/// `regs` holds the arguments of the call.
pub(crate) struct Entry<'a> {
    regs: *mut bindings::ftrace_regs,
    caller: usize,
    _life: PhantomData<&'a ()>,
}

impl Entry<'_> {
    /// Returns argument `n`, counted from 0.
    pub(crate) fn argument(&self, n: u32) -> usize {
        // SAFETY: By the type invariants.
        unsafe { bindings::rust_helper_ftrace_regs_get_argument(self.regs, n) }
    }

    /// Replaces argument `n`.
    pub(crate) fn set_argument(&self, n: u32, value: usize) {
        // SAFETY: By the type invariants; the traced function gets the registers as they are when
        // the handler returns.
        unsafe { bindings::rust_helper_ftrace_regs_set_argument(self.regs, n, value) };
    }

    /// Returns the address the function will return to.
    pub(crate) fn caller(&self) -> usize {
        self.caller
    }
}

/// A function that has run.
///
/// # Invariants
///
/// `regs` holds the return value of the call.
pub(crate) struct Exit<'a> {
    regs: *mut bindings::ftrace_regs,
    _life: PhantomData<&'a ()>,
}

impl Exit<'_> {
    /// Returns the return value.
    pub(crate) fn value(&self) -> usize {
        // SAFETY: By the type invariants.
        unsafe { bindings::rust_helper_ftrace_regs_get_return_value(self.regs) }
    }

    /// Replaces the return value.
    pub(crate) fn set_value(&self, value: usize) {
        // SAFETY: By the type invariants; the caller gets the register as it is when the handler
        // returns.
        unsafe { bindings::rust_helper_ftrace_regs_set_return_value(self.regs, value) };
    }
}

/// A hook in place.
///
/// # Invariants
///
/// `fprobe` is registered on `H::SYMBOL` while the value lives; it is unregistered once, in `drop`.
#[pin_data(PinnedDrop)]
pub(crate) struct Probe<H: Hook> {
    #[pin]
    fprobe: Opaque<bindings::fprobe>,
    _hook: PhantomData<H>,
}

// SAFETY: An fprobe may be unregistered from any thread, and all shared access is a read of a
// counter.
unsafe impl<H: Hook> Send for Probe<H> {}
// SAFETY: As above.
unsafe impl<H: Hook> Sync for Probe<H> {}

impl<H: Hook> Probe<H> {
    /// Hooks the function, or says in one line of the kernel log which one could not be hooked.
    pub(crate) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            // INVARIANT: The initializer succeeds only if the registration did.
            fprobe <- Opaque::try_ffi_init(|slot: *mut bindings::fprobe| {
                let fprobe = bindings::fprobe {
                    entry_handler: Some(enter::<H>),
                    exit_handler: match H::LEAVES {
                        true => Some(leave::<H>),
                        false => None,
                    },
                    entry_data_size: size_of::<H::Data>(),
                    ..Default::default()
                };
                // SAFETY: `slot` is valid for writes.
                unsafe { slot.write(fprobe) };
                let mut symbols = [H::SYMBOL.as_char_ptr()];
                // SAFETY: `slot` is initialised and pinned until `drop` unregisters it, `symbols`
                // is an array of one C string, and both handlers match `H`.
                to_result(unsafe {
                    bindings::register_fprobe_syms(slot, symbols.as_mut_ptr(), 1)
                })
                .inspect_err(|error| {
                    pr_err!(
                        "cannot hook {}: {:?}; is this kernel supported?\n",
                        H::SYMBOL.to_str().unwrap_or("?"),
                        error
                    );
                })
            }),
            _hook: PhantomData,
        }? Error)
    }

    /// Number of calls whose handlers could not run.
    pub(crate) fn missed(&self) -> usize {
        // SAFETY: The fprobe is initialised; the counter is only ever read here, and a torn or
        // stale value of a statistic does no harm.
        unsafe { (&raw const (*self.fprobe.get()).nmissed).read_volatile() }
    }
}

#[pinned_drop]
impl<H: Hook> PinnedDrop for Probe<H> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: By the type invariants the fprobe is registered.
        unsafe { bindings::unregister_fprobe(self.fprobe.get()) };
    }
}

/// # Safety
///
/// Only fprobe calls this, with the arguments of `fprobe_entry_cb` and `data` of
/// `entry_data_size` bytes, aligned like a long.
unsafe extern "C" fn enter<H: Hook>(
    _fprobe: *mut bindings::fprobe,
    _entry: c_ulong,
    caller: c_ulong,
    regs: *mut bindings::ftrace_regs,
    data: *mut c_void,
) -> c_int {
    const { assert!(align_of::<H::Data>() <= align_of::<usize>()) };
    let call = Entry {
        regs,
        caller,
        _life: PhantomData,
    };
    match H::enter(&call) {
        Some(remembered) => {
            if size_of::<H::Data>() > 0 {
                // SAFETY: By the safety requirements `data` has room for `H::Data`.
                unsafe { data.cast::<H::Data>().write(remembered) };
            }
            0
        }
        // Anything but 0 skips the exit handler.
        None => 1,
    }
}

/// # Safety
///
/// Only fprobe calls this, with the arguments of `fprobe_exit_cb` and the `data` that [`enter`]
/// filled.
unsafe extern "C" fn leave<H: Hook>(
    _fprobe: *mut bindings::fprobe,
    _entry: c_ulong,
    _caller: c_ulong,
    regs: *mut bindings::ftrace_regs,
    data: *mut c_void,
) {
    let remembered = if size_of::<H::Data>() > 0 {
        // SAFETY: By the safety requirements.
        unsafe { data.cast::<H::Data>().read() }
    } else {
        // SAFETY: A type without size has nothing to read; the pointer is aligned.
        unsafe { core::ptr::NonNull::<H::Data>::dangling().read() }
    };
    let call = Exit {
        regs,
        _life: PhantomData,
    };
    H::leave(&call, remembered);
}
