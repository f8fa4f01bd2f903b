// SPDX-License-Identifier: GPL-2.0-only

//! The calls by which lockd tells clients that they have been granted a lock (`NLM_GRANTED`).
//!
//! A call keeps the file of its lock open until the client answers, or for a minute.
//!
//! Lifetimes and locks, from `fs/lockd/svclock.c` and `host.c`: a granted block stays on `f_blocks`
//! of its file, under `f_mutex`, until its call is through, and pins its host and the call. A pinned
//! host gets its RPC client when it is needed first, and keeps it until `nlm_shutdown_hosts_net()`,
//! which is `lockd_down()`'s, under the mutex that `lockd_up()` takes.
//!
//! C header: [`include/linux/lockd/bind.h`](srctree/include/linux/lockd/bind.h)

use crate::{
    bindings,
    sys::{
        lockd::file::File,
        net::Net, //
    },
};
use kernel::{
    error::to_result,
    prelude::*, //
};

/// lockd of a network namespace, which does not stop while this lives.
///
/// # Invariants
///
/// `lockd_up()` has succeeded for the namespace, and `lockd_down()` is still to be called.
pub(crate) struct Running(Net);

impl Running {
    /// Keeps lockd from stopping; starts it if it has stopped already. May sleep.
    ///
    /// # Safety
    ///
    /// The network namespace must stay until the result is dropped.
    pub(crate) unsafe fn keep(net: Net) -> Result<Self> {
        // SAFETY: The namespace is there.
        to_result(unsafe { bindings::rust_helper_lockd_up(net.as_ptr()) })?;
        // INVARIANT: It has just succeeded.
        Ok(Self(net))
    }

    pub(super) fn net(&self) -> Net {
        self.0
    }

    /// Ends the calls about locks on `file`, and returns whether there are any. They are gone some
    /// time after. Does not sleep.
    ///
    /// # Safety
    ///
    /// `f_mutex` of the file and `nlm_blocked_lock` must be held.
    pub(super) unsafe fn end_calls(&self, file: &File<'_>) -> bool {
        let mut found = false;
        // SAFETY: By the safety requirements. A block pins its host; by the type invariant one of
        // the namespace keeps its client once it has one. `rpc_cancel_tasks()` takes only
        // spinlocks, under which lockd's are never taken, and calls `is_call()`.
        unsafe {
            file.each_block(|block| {
                let host = block.b_host;
                if block.b_granted == 0 || (*host).net != self.0.as_ptr() {
                    return;
                }
                let client = (&raw const (*host).h_rpcclnt).read_volatile();
                if !client.is_null() {
                    let call = block.b_call.cast();
                    bindings::rpc_cancel_tasks(client, EIO.to_errno(), Some(is_call), call);
                    found = true;
                }
            });
        }
        found
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SAFETY: By the type invariant this is due.
        unsafe { bindings::lockd_down(self.0.as_ptr()) };
    }
}

/// Whether a task is the call in question: `nlm_async_call()` has that for the data of its task.
///
/// # Safety
///
/// Only `rpc_cancel_tasks()` calls this, with a task of the client and what was passed on.
unsafe extern "C" fn is_call(task: *const bindings::rpc_task, call: *const c_void) -> bool {
    // SAFETY: By the safety requirements.
    unsafe { bindings::rust_helper_rpc_task_calldata(task) == call }
}
