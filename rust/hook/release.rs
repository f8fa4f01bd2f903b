// SPDX-License-Identifier: GPL-2.0-only

//! Stock `unlock_ip` and `unlock_filesystem`, through their files and through netlink: which
//! network namespace they are asked for.

use crate::sys::{
    fprobe::{
        Entry,
        Exit,
        Hook, //
    },
    scope::{
        self,
        Note, //
    },
    text, //
};
use kernel::prelude::*;

/// Declares the hook of a function that releases locks: what it is, and which of its arguments
/// tells the namespace.
macro_rules! release_hook {
    ($(#[$doc:meta])* $name:ident, $symbol:literal, $note:ident($argument:literal)) => {
        $(#[$doc])*
        pub(super) struct $name;

        impl Hook for $name {
            const SYMBOL: &'static CStr = $symbol;
            type Data = Note;

            fn enter(call: &Entry<'_>) -> Option<Note> {
                // SAFETY: It is the argument that the function takes.
                unsafe { Note::$note(call.argument($argument)) }
            }

            fn leave(_call: &Exit<'_>, note: Note) {
                note.remove();
            }
        }
    };
}

release_hook!(
    /// Hook of `write_unlock_ip(file, buf, size)`.
    WriteUnlockIp,
    c"write_unlock_ip",
    of_file(0)
);

release_hook!(
    /// Hook of `write_unlock_fs(file, buf, size)`.
    WriteUnlockFs,
    c"write_unlock_fs",
    of_file(0)
);

release_hook!(
    /// Hook of `nfsd_nl_unlock_ip_doit(skb, info)`.
    NetlinkUnlockIp,
    c"nfsd_nl_unlock_ip_doit",
    of_netlink(1)
);

release_hook!(
    /// Hook of `nfsd_nl_unlock_filesystem_doit(skb, info)`.
    NetlinkUnlockFs,
    c"nfsd_nl_unlock_filesystem_doit",
    of_netlink(1)
);

/// Hook of `rpc_pton(net, buf, buflen, sap, salen)`.
///
/// `write_unlock_ip()` passes the length of all that was written, newline included; with it no
/// IPv6 address parses. Only that caller is concerned.
pub(super) struct RpcPton;

impl Hook for RpcPton {
    const SYMBOL: &'static CStr = c"rpc_pton";
    const LEAVES: bool = false;
    type Data = ();

    fn enter(call: &Entry<'_>) -> Option<()> {
        scope::of_current()?;
        // SAFETY: They are the buffer and its length, which the function will read.
        let len = unsafe { text::terminated_len(call.argument(1), call.argument(2)) };
        call.set_argument(2, len);
        None
    }
}
