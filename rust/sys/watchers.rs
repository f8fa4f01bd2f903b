// SPDX-License-Identifier: GPL-2.0-only

//! Who polls a control file, and is woken when something changes.
//!
//! All of them wait in one queue, whatever their network namespace is. Each namespace counts its
//! changes ([`Since::changes`]), and who was woken for another one finds the count as it was.
//!
//! Lifetime: whoever is in the queue has the file open. poll(2) holds the file until it has left the
//! queue (`free_poll_entry()`), epoll leaves it before the file is released (`eventpoll_release()` in
//! `__fput()`), and only then is the reference given back that an open file has of this module. So the
//! queue is empty when the module goes; `PollCondVar` would else turn out whoever is there.
//!
//! C header: [`include/linux/poll.h`](srctree/include/linux/poll.h)

use crate::{
    bindings,
    sys::{
        net::Net,
        since::Since, //
    },
};
use core::ptr;
use kernel::{
    fs::File,
    new_poll_condvar,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Release, //
        },
        poll::{
            PollCondVar,
            PollTable, //
        }, //
    },
};

/// The queue. It is there while [`Watchers`] is.
static QUEUE: Atomic<*const PollCondVar> = Atomic::new(ptr::null());

/// Something was noted that nobody was woken for yet.
static NOTED: Atomic<bool> = Atomic::new(false);

/// The queue, ready for use.
///
/// Control files, hooks and the timer, which look for it, must be gone before.
pub(crate) struct Watchers(#[expect(dead_code)] Pin<KBox<PollCondVar>>);

impl Watchers {
    /// Prepares it.
    pub(crate) fn new() -> Result<Self> {
        let queue = KBox::pin_init(new_poll_condvar!("nfs_failover_watchers"), GFP_KERNEL)?;
        QUEUE.store(ptr::from_ref(&*queue), Release);
        Ok(Self(queue))
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        QUEUE.store(ptr::null(), Release);
    }
}

fn queue<'a>() -> Option<&'a PollCondVar> {
    // SAFETY: Whoever asks is gone before the queue is, see `Watchers`.
    unsafe { QUEUE.load(Acquire).as_ref() }
}

fn wake() {
    if let Some(queue) = queue() {
        queue.notify_all();
    }
}

/// Something has changed in `net`: who waits for that is woken.
pub(crate) fn tell(net: Net) {
    Since::change(net);
    wake();
}

/// Notes the same where nobody is to be woken, as in a hook: [`wake_noted`] does it. Does not sleep.
pub(crate) fn note(net: Net) {
    Since::change(net);
    NOTED.store(true, Release);
}

/// Wakes who waits, if anything was noted.
pub(crate) fn wake_noted() {
    if NOTED.xchg(false, Full) {
        wake();
    }
}

/// Puts who polls `file` into the queue, if they want to wait.
///
/// # Safety
///
/// `file` must be an open control file, `table` what the VFS has given with it, and the caller its
/// operation `poll`.
pub(super) unsafe fn join(file: *mut bindings::file, table: *mut bindings::poll_table) {
    // SAFETY: By the safety requirements both are valid. Somebody may read the file meanwhile, which moves
    // its position; nothing of the file is looked at here, it is only passed on.
    let (file, table) = unsafe { (File::from_raw_file(file), PollTable::from_raw(table)) };
    if let Some(queue) = queue() {
        table.register_wait(file, queue);
    }
}
