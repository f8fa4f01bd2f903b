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
    lockd::{
        File,
        Host, //
    },
    scope,
    traversal::Traversal, //
};
use kernel::prelude::*;

/// Hook of `nlmsvc_match_sb(data, file)`.
pub(super) struct MatchSb;

impl Hook for MatchSb {
    const SYMBOL: &'static CStr = c"nlmsvc_match_sb";
    type Data = (usize, usize);

    fn enter(call: &Entry<'_>) -> Option<Self::Data> {
        Some((call.argument(0), call.argument(1)))
    }

    fn leave(call: &Exit<'_>, (data, file): Self::Data) {
        // SAFETY: They are the arguments of the predicate, which pin what they point to.
        let (traversal, file) =
            unsafe { (Traversal::from_argument(data), File::from_argument(file)) };
        if let (Some(traversal), Some(file)) = (traversal, file) {
            call.set_value(traversal.takes_file(&file).into());
        }
    }
}

/// Hook of `nlmsvc_always_match(host, data)`, the companion of `nlmsvc_match_sb()`.
pub(super) struct AlwaysMatch;

impl Hook for AlwaysMatch {
    const SYMBOL: &'static CStr = c"nlmsvc_always_match";
    type Data = (usize, usize);

    fn enter(call: &Entry<'_>) -> Option<Self::Data> {
        Some((call.argument(0), call.argument(1)))
    }

    fn leave(call: &Exit<'_>, (host, data): Self::Data) {
        // SAFETY: They are the arguments of the predicate, which pin what they point to.
        let (host, traversal) =
            unsafe { (Host::from_argument(host), Traversal::from_argument(data)) };
        let matches = match traversal {
            Some(traversal) => traversal.takes_host(&host, call.caller()),
            None => scope::of_current().is_none_or(|scope| scope == host.net()),
        };
        call.set_value(matches.into());
    }
}

/// Hook of `nlmsvc_match_ip(host, address)`.
pub(super) struct MatchIp;

impl Hook for MatchIp {
    const SYMBOL: &'static CStr = c"nlmsvc_match_ip";
    type Data = usize;

    fn enter(call: &Entry<'_>) -> Option<Self::Data> {
        Some(call.argument(0))
    }

    fn leave(call: &Exit<'_>, host: Self::Data) {
        // SAFETY: It is the argument of the predicate, which pins what it points to.
        let net = unsafe { Host::from_argument(host) }.net();
        if scope::of_current().is_some_and(|scope| scope != net) {
            call.set_value(0);
        }
    }
}
