// SPDX-License-Identifier: GPL-2.0-only

//! Stock `unlock_ip` and `unlock_filesystem`, through their files and through netlink: which
//! network namespace they are asked for.

use crate::{
    monitor,
    sys::{
        fprobe::{
            Entry,
            Exit,
            Hook, //
        },
        net::Net,
        nfsd::{
            calls::{
                self,
                Releases, //
            },
            release_scope::{
                self,
                Note, //
            },
        },
        witness::Witness, //
    },
};
use core::marker::PhantomData;

/// Hook of a function that releases locks.
pub(super) struct Stock<F>(PhantomData<F>);

impl<F: Releases> Hook for Stock<F> {
    type Function = F;
    type Data = Note;

    fn enter(call: &Entry<'_, F>) -> Option<Note> {
        let note = Note::take(F::net(call));
        // Whom lockd forgets meanwhile stays known, too.
        if let Some(net) = release_scope::of_current() {
            monitor::released(net);
        }
        note
    }

    fn leave(_call: &Exit<'_, F>, note: Note) {
        if let Some(net) = release_scope::of_current() {
            monitor::released(net);
        }
        note.remove();
    }
}

static WITNESS: Witness = Witness::new();

/// Whether the hook of `rpc_pton()` is being called. May sleep.
pub(super) fn live() -> bool {
    WITNESS.sees(|| Net::initial().parse_empty_address())
}

/// Hook of `rpc_pton()`.
///
/// `write_unlock_ip()` passes the length of all that was written, newline included; with it no
/// IPv6 address parses. Only that caller is concerned.
pub(super) struct RpcPton;

impl Hook for RpcPton {
    type Function = calls::RpcPton;
    const LEAVES: bool = false;
    type Data = ();

    fn enter(call: &Entry<'_, calls::RpcPton>) -> Option<()> {
        WITNESS.saw();
        release_scope::of_current()?;
        call.end_at_nul();
        None
    }
}
