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

/// A function of the kernel that can be hooked. What its arguments and its result are, the methods of
/// its [`Entry`] and [`Exit`] say.
pub(crate) trait Function: 'static {
    /// Its name.
    const SYMBOL: &'static CStr;
}

/// Declares functions.
macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident, $symbol:literal;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name;

        impl $crate::sys::fprobe::Function for $name {
            const SYMBOL: &'static CStr = $symbol;
        }
    )*};
}
pub(super) use functions;

/// What to do where a function is entered and left.
pub(crate) trait Hook: 'static {
    /// The function.
    type Function: Function;

    /// Whether [`Hook::leave`] is called. A call costs half if not.
    const LEAVES: bool = true;

    /// What [`Hook::enter`] remembers for [`Hook::leave`].
    type Data: Copy;

    /// Called before the function runs. [`None`] lets the function go unobserved.
    fn enter(call: &Entry<'_, Self::Function>) -> Option<Self::Data>;

    /// Called after the function ran.
    fn leave(_call: &Exit<'_, Self::Function>, _data: Self::Data) {}
}

/// A function about to run.
///
/// # Invariants
///
/// `regs` holds the arguments of a call of `F`, whose caller waits for it to return.
pub(crate) struct Entry<'a, F> {
    regs: *mut bindings::ftrace_regs,
    caller: usize,
    _call: PhantomData<(&'a (), F)>,
}

impl<F> Entry<'_, F> {
    /// Returns argument `n`, counted from 0.
    pub(super) fn argument(&self, n: u32) -> usize {
        // SAFETY: By the type invariants.
        unsafe { bindings::rust_helper_ftrace_regs_get_argument(self.regs, n) }
    }

    /// Replaces argument `n`.
    pub(super) fn set_argument(&self, n: u32, value: usize) {
        // SAFETY: By the type invariants; the traced function gets the registers as they are when
        // the handler returns.
        unsafe { bindings::rust_helper_ftrace_regs_set_argument(self.regs, n, value) };
    }

    /// Returns the address the function will return to.
    pub(super) fn caller(&self) -> usize {
        self.caller
    }
}

/// A function that has run.
///
/// # Invariants
///
/// `regs` holds the return value of a call of `F`, whose caller has not got it yet.
pub(crate) struct Exit<'a, F> {
    regs: *mut bindings::ftrace_regs,
    _call: PhantomData<(&'a (), F)>,
}

impl<F> Exit<'_, F> {
    /// Returns the return value.
    pub(super) fn value(&self) -> usize {
        // SAFETY: By the type invariants.
        unsafe { bindings::rust_helper_ftrace_regs_get_return_value(self.regs) }
    }

    /// Replaces the return value.
    pub(super) fn set_value(&self, value: usize) {
        // SAFETY: By the type invariants; the caller gets the register as it is when the handler
        // returns.
        unsafe { bindings::rust_helper_ftrace_regs_set_return_value(self.regs, value) };
    }
}

/// A hook in place.
///
/// # Invariants
///
/// `fprobe` is registered on `H::Function` while the value lives; it is unregistered once, in `drop`.
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
                let mut symbols = [H::Function::SYMBOL.as_char_ptr()];
                // SAFETY: `slot` is initialised and pinned until `drop` unregisters it, `symbols`
                // is an array of one C string, and both handlers match `H`.
                to_result(unsafe {
                    bindings::register_fprobe_syms(slot, symbols.as_mut_ptr(), 1)
                })
                .inspect_err(|error| {
                    pr_err!(
                        "cannot hook {}: {:?}; is this kernel supported?\n",
                        H::Function::SYMBOL.to_str().unwrap_or("?"),
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

/// How many calls of the current task, since it was there, no hook has learned of because the tracer's
/// stack was full. No hook counts these.
pub(crate) fn overruns() -> usize {
    // SAFETY: The current task is there, and nobody else changes its counter.
    unsafe {
        (&raw const (*bindings::get_current()).trace_overrun.counter).read_volatile() as usize
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
    // INVARIANT: The probe is on `H::Function`, which has just been called.
    let call = Entry {
        regs,
        caller,
        _call: PhantomData,
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
    // INVARIANT: The probe is on `H::Function`, which has just run.
    let call = Exit {
        regs,
        _call: PhantomData,
    };
    H::leave(&call, remembered);
}
