// SPDX-License-Identifier: GPL-2.0-only

//! The predicates of lockd's `nlm_traverse_files()`: which files and clients a release is about.
//!
//! A traversal of ours is recognised by its pointer; in a stock one, only clients of the network
//! namespace the release was asked for are matched. What matches there is dropped without being on
//! any list.

use crate::{
    sys::{
        fprobe::{
            Entry,
            Exit,
            Hook, //
        },
        lockd::calls,
        net::Net,
        nfsd::release_scope, //
    },
    unit::unit, //
};

/// Hook of `nlmsvc_match_sb()`.
pub(in crate::hook) struct MatchSb;

impl Hook for MatchSb {
    type Function = calls::MatchSb;
    const LEAVES: bool = false;
    type Data = ();

    fn enter(call: &Entry<'_, calls::MatchSb>) -> Option<()> {
        let (traversal, file) = (call.traversal()?, call.file()?);
        if traversal.takes_file(&file) {
            call.match_file(&file);
        }
        None
    }
}

/// Hook of `nlmsvc_always_match()`, the companion of `nlmsvc_match_sb()`.
pub(in crate::hook) struct AlwaysMatch;

impl Hook for AlwaysMatch {
    type Function = calls::AlwaysMatch;
    type Data = ();

    fn enter(call: &Entry<'_, calls::AlwaysMatch>) -> Option<()> {
        let host = call.host();
        let matches = match call.traversal() {
            Some(traversal) => traversal.takes_host(&host, call.asked_from()),
            None => in_scope(host.net(), || true),
        };
        // If so, the predicate says so by itself.
        (!matches).then_some(())
    }

    fn leave(call: &Exit<'_, calls::AlwaysMatch>, (): ()) {
        call.deny();
    }
}

/// Hook of `nlmsvc_match_ip()`.
pub(in crate::hook) struct MatchIp;

impl Hook for MatchIp {
    type Function = calls::MatchIp;
    type Data = ();

    fn enter(call: &Entry<'_, calls::MatchIp>) -> Option<()> {
        let host = call.host();
        let of_address = || host.server() == call.server();
        (!in_scope(host.net(), of_address)).then_some(())
    }

    fn leave(call: &Exit<'_, calls::MatchIp>, (): ()) {
        call.deny();
    }
}

/// Whether a stock release is meant for what a host in `net` has. Notes that it is taken away, if it
/// `matches` what the release looks for.
fn in_scope(net: Net, matches: impl FnOnce() -> bool) -> bool {
    let in_scope = release_scope::of_current().is_none_or(|scope| scope == net);
    if in_scope && matches() {
        unit::take_away(net);
    }
    in_scope
}
