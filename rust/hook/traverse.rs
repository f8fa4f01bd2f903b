// SPDX-License-Identifier: GPL-2.0-only

//! The predicates of lockd's `nlm_traverse_files()`: which files and clients a release is about.
//!
//! A traversal of ours is recognised by its pointer; in a stock one, only clients of the network
//! namespace the release was asked for are matched.

use crate::sys::{
    fprobe::{
        Entry,
        Exit,
        Hook, //
    },
    host::Host,
    lockd::File,
    scope,
    traversal::Traversal, //
};
use kernel::prelude::*;

/// Hook of `nlmsvc_match_sb(data, file)`.
pub(super) struct MatchSb;

impl Hook for MatchSb {
    const SYMBOL: &'static CStr = c"nlmsvc_match_sb";
    const LEAVES: bool = false;
    type Data = ();

    fn enter(call: &Entry<'_>) -> Option<()> {
        // SAFETY: They are the arguments of the predicate, which pin what they point to.
        let (traversal, file) = unsafe {
            (
                Traversal::from_argument(call.argument(0))?,
                File::from_argument(call.argument(1))?,
            )
        };
        if traversal.takes_file(&file) {
            // The predicate finds that it is the superblock of the file.
            call.set_argument(0, file.superblock()?);
        }
        None
    }
}

/// Hook of `nlmsvc_always_match(host, data)`, the companion of `nlmsvc_match_sb()`.
pub(super) struct AlwaysMatch;

impl Hook for AlwaysMatch {
    const SYMBOL: &'static CStr = c"nlmsvc_always_match";
    type Data = ();

    fn enter(call: &Entry<'_>) -> Option<()> {
        // SAFETY: They are the arguments of the predicate, which pin what they point to.
        let (host, traversal) = unsafe {
            (
                Host::from_argument(call.argument(0)),
                Traversal::from_argument(call.argument(1)),
            )
        };
        let matches = match traversal {
            Some(traversal) => traversal.takes_host(&host, call.caller()),
            None => scope::of_current().is_none_or(|scope| scope == host.net()),
        };
        // If so, the predicate says so by itself.
        (!matches).then_some(())
    }

    fn leave(call: &Exit<'_>, (): ()) {
        call.set_value(0);
    }
}

/// Hook of `nlmsvc_match_ip(host, address)`.
pub(super) struct MatchIp;

impl Hook for MatchIp {
    const SYMBOL: &'static CStr = c"nlmsvc_match_ip";
    type Data = ();

    fn enter(call: &Entry<'_>) -> Option<()> {
        let scope = scope::of_current()?;
        // SAFETY: It is the argument of the predicate, which pins what it points to.
        let net = unsafe { Host::from_argument(call.argument(0)) }.net();
        (scope != net).then_some(())
    }

    fn leave(call: &Exit<'_>, (): ()) {
        call.set_value(0);
    }
}
