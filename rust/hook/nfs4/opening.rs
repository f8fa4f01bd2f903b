// SPDX-License-Identifier: GPL-2.0-only

//! `nfs4_get_vfs_file()`: an OPEN has found its file, and is about to get what it asks for.
//!
//! By name it was judged before that. Whatever was opened until here, nfsd's list of what a client has
//! tells of; so that list is whole when it is read after a filesystem has left.
//!
//! A file that was just made by it is nobody else's, and could not be made again: it is let in. Where the
//! filesystem has left, no list tells of it, so there must be none; and if there is one, it is turned away.

use crate::{
    hook::{
        request::with_request,
        trace, //
    },
    policy::{
        nfs4::opening,
        outcome::Count,
        verdict::Op, //
    },
    sys::{
        fprobe::{
            Entry,
            Exit,
            Hook, //
        },
        nfsd::nfs4_calls::{
            GetVfsFile,
            TurnedAway, //
        },
    },
};

/// Hook of `nfs4_get_vfs_file()`.
pub(in crate::hook) struct Opening;

impl Hook for Opening {
    type Function = GetVfsFile;
    type Data = TurnedAway;

    fn enter(call: &Entry<'_, GetVfsFile>) -> Option<TurnedAway> {
        let status = with_request(|_, active, request| {
            let request = call.of_file(&request)?;
            let (verdict, unit) = active.judge(&request);
            let status = opening(request.op, verdict)?;
            let unit = unit?;
            if call.has_made_it() && unit.lets_have_it() {
                return None;
            }
            trace::told(&request, verdict, Some(unit));
            if request.op == Op::New {
                unit.count(Count::Wait);
            }
            Some(status)
        });
        status.flatten().map(|status| call.turn_away(status))
    }

    fn leave(call: &Exit<'_, GetVfsFile>, turned: TurnedAway) {
        call.tell(turned);
    }
}
