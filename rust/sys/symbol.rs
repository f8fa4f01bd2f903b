// SPDX-License-Identifier: GPL-2.0-only

//! Recognising kernel objects that are not exported, by the name of an address at hand.
//!
//! Nothing is looked up by name: the address comes from the kernel itself, and only the question
//! "is this `name` of `module`?" is asked. Answers are kept, because handlers ask for each
//! request; an address cannot change its owner while lockd and nfsd are pinned (see
//! [`crate::sys::pin`] and the symbols of lockd this module imports).
//!
//! C header: [`include/linux/kallsyms.h`](srctree/include/linux/kallsyms.h)

use crate::bindings;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// Longest text `sprint_symbol()` writes (`KSYM_SYMBOL_LEN`), rounded up.
const TEXT_LEN: usize = 640;

/// A function or object of another module, recognised by name and then remembered by address.
pub(crate) struct Symbol {
    /// `<name>+0x0/`
    start: &'static [u8],
    /// ` [<module>]`
    end: &'static [u8],
    known: Atomic<usize>,
}

impl Symbol {
    /// Names a symbol; the arguments are the text around its size: `name+0x0/` and ` [module]`.
    pub(crate) const fn new(start: &'static [u8], end: &'static [u8]) -> Self {
        Self {
            start,
            end,
            known: Atomic::new(0),
        }
    }

    /// Whether `address` is where the symbol starts. Does not sleep.
    pub(crate) fn is(&self, address: usize) -> bool {
        if address == 0 {
            return false;
        }
        if self.known.load(Relaxed) == address {
            return true;
        }
        let found = with_text(address, |text| {
            text.starts_with(self.start) && text.ends_with(self.end)
        });
        if found {
            self.known.store(address, Relaxed);
        }
        found
    }
}

/// Whether `address` lies in the function `name` of some module. Does not sleep.
pub(crate) fn within(address: usize, name: &[u8]) -> bool {
    with_text(address, |text| {
        text.strip_prefix(name)
            .is_some_and(|rest| rest.first() == Some(&b'+'))
    })
}

fn with_text<R>(address: usize, test: impl FnOnce(&[u8]) -> R) -> R {
    let mut text = [0u8; TEXT_LEN];
    // SAFETY: The buffer is as large as `sprint_symbol()` asks for, and any address may be asked.
    let len = unsafe { bindings::sprint_symbol(text.as_mut_ptr().cast(), address) };
    test(text.get(..len as usize).unwrap_or_default())
}

// `sprint_symbol()` writes at most KSYM_SYMBOL_LEN bytes: the longest name (KSYM_NAME_LEN), the
// longest module name, two numbers and punctuation.
const _: () = assert!(TEXT_LEN >= bindings::KSYM_NAME_LEN as usize + 64 + 2 * 18 + 8);
