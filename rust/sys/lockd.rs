// SPDX-License-Identifier: GPL-2.0-only

//! lockd's files, hosts and locks, as the hooks meet them.
//!
//! Lifetimes and locks, from `fs/lockd/svcsubs.c`: a file is pinned by `f_count`; its handle never
//! changes, its open files and so the inode stay until the last reference goes. The locks of a
//! file are on the list of its inode under `flc_lock`; each is owned by a `struct nlm_lockowner`,
//! which pins its host, and both stay while the lock is on the list. The blocked requests of a file
//! are on `f_blocks` under `f_mutex` and pin their hosts, too. Names and addresses of a host never
//! change.
//!
//! C header: `fs/lockd/lockd.h`

use crate::{
    bindings,
    policy::{
        fsid::{
            Dev,
            HandleFsid, //
        },
        manifest::text::{
            Range,
            Share, //
        }, //
    },
    sys::{
        address,
        net::Net,
        symbol::Symbol, //
    },
};
use core::{
    marker::PhantomData,
    net::IpAddr,
    ptr,
    slice, //
};
use kernel::prelude::*;

static LOCK_OPERATIONS: Symbol = Symbol::new(b"nlmsvc_lock_operations+0x0/", b" [lockd]");

/// `NLM_LCK_DENIED_GRACE_PERIOD`, as lockd's functions return it.
pub(crate) const DENIED_GRACE_PERIOD: usize = 4u32.to_be() as usize;

/// `NLM_LCK_BLOCKED`, as lockd's functions return it.
pub(crate) const BLOCKED: u32 = 3u32.to_be();

/// `nlm_granted`, as lockd's functions return it.
pub(crate) const GRANTED: u32 = 0;

/// When lockd tries again to grant a request that waits: only if it is woken.
const NLM_NEVER: c_ulong = c_ulong::MAX;

/// An access mode that `nlm_do_fopen()` has no file for, so that it opens none and fails.
pub(crate) const OPEN_NOTHING: usize = 3;

/// A file lockd holds for clients.
#[derive(Clone, Copy)]
pub(crate) struct File<'a>(&'a bindings::nlm_file);

impl<'a> File<'a> {
    /// Borrows a `struct nlm_file *` argument.
    ///
    /// # Safety
    ///
    /// `argument` must point to a `struct nlm_file` that is pinned for `'a`.
    pub(crate) unsafe fn from_argument(argument: usize) -> Option<Self> {
        // SAFETY: By the safety requirements.
        unsafe { ptr::with_exposed_provenance::<bindings::nlm_file>(argument).as_ref() }.map(Self)
    }

    /// Borrows what a look-up put into its `struct nlm_file **` argument.
    ///
    /// # Safety
    ///
    /// `argument` must point to a pointer to a `struct nlm_file` that is pinned for `'a`.
    pub(crate) unsafe fn from_result(argument: usize) -> Option<Self> {
        let result = ptr::with_exposed_provenance::<*const bindings::nlm_file>(argument);
        // SAFETY: By the safety requirements.
        unsafe { (*result).as_ref() }.map(Self)
    }

    /// The filesystem part of the file handle.
    pub(crate) fn handle(&self) -> Option<HandleFsid> {
        decode(&self.0.f_handle)
    }

    fn inode(&self) -> Option<&bindings::inode> {
        let file = self.0.f_file.iter().find(|file| !file.is_null())?;
        // SAFETY: A file that lockd has open pins its inode; by the construction of `self` it
        // stays open for `'a`.
        unsafe { (**file).f_inode.as_ref() }
    }

    /// The `struct super_block *` of the filesystem.
    pub(crate) fn superblock(&self) -> Option<usize> {
        Some(self.inode()?.i_sb.expose_provenance())
    }

    /// The device of the filesystem.
    pub(crate) fn dev(&self) -> Option<Dev> {
        // SAFETY: An inode in use has a superblock.
        let dev = unsafe { (*self.inode()?.i_sb).s_dev };
        Some(Dev::from_kernel(dev))
    }

    /// The whole file handle.
    pub(crate) fn raw_handle(&self) -> &'a [u8] {
        let handle = &self.0.f_handle;
        &handle.data[..usize::from(handle.size).min(handle.data.len())]
    }

    pub(super) fn as_ptr(&self) -> *const bindings::nlm_file {
        self.0
    }

    fn context(&self) -> Option<*mut bindings::file_lock_context> {
        let inode = self.inode()?;
        // SAFETY: `i_flctx` is set once and freed with the inode.
        let context = unsafe {
            (&raw const inode.i_flctx)
                .cast::<*mut bindings::file_lock_context>()
                .read_volatile()
        };
        (!context.is_null()).then_some(context)
    }

    /// Calls `f` with the locks that lockd holds for clients on the file. Takes `flc_lock`, so `f`
    /// must not sleep.
    pub(crate) fn locks<R>(&self, f: impl FnOnce(Locks<'_>) -> R) -> R {
        let Some(context) = self.context() else {
            return f(Locks::none());
        };
        // SAFETY: The context is valid. Its lock is a spinlock that is never taken in interrupts.
        unsafe {
            let lock = (&raw mut (*context).flc_lock).cast();
            bindings::spin_lock(lock);
            let result = self.locks_locked(f);
            bindings::spin_unlock(lock);
            result
        }
    }

    /// As [`File::locks`].
    ///
    /// # Safety
    ///
    /// `flc_lock` of the inode must be held.
    pub(super) unsafe fn locks_locked<R>(&self, f: impl FnOnce(Locks<'_>) -> R) -> R {
        let Some(context) = self.context() else {
            return f(Locks::none());
        };
        // SAFETY: The context is valid, and by the safety requirements its list does not change
        // while `f` has it.
        f(unsafe { Locks::on(&(*context).flc_posix) })
    }

    /// Calls `f` with each request that waits for a lock on the file.
    ///
    /// # Safety
    ///
    /// `f_mutex` of the file and `nlm_blocked_lock` must be held.
    pub(super) unsafe fn each_blocked(&self, mut f: impl FnMut(Host<'_>, Range)) {
        // SAFETY: By the safety requirements. A block has a call with the lock that is asked for,
        // and pins its host.
        unsafe {
            self.each_block(|block| {
                // One that is not on lockd's own list is being granted or given up.
                if is_on_list(block) {
                    let lock = &(*block.b_call).a_args.lock;
                    f(Host(&*block.b_host), range(&lock.fl, lock.svid));
                }
            });
        }
    }

    /// Whether lockd's thread is trying to grant a request that waits for a lock on the file, or
    /// will as soon as it gets there.
    ///
    /// # Safety
    ///
    /// `f_mutex` of the file and `nlm_blocked_lock` must be held.
    pub(super) unsafe fn is_granting(&self) -> bool {
        let mut granting = false;
        // SAFETY: By the safety requirements.
        unsafe {
            self.each_block(|block| {
                // `nlmsvc_grant_blocked()` takes the block off lockd's own list while it tries;
                // one that only waits is there with `NLM_NEVER`. What the filesystem is asked for
                // (`B_QUEUED`) is up to that.
                let decided = block.b_granted != 0 || block.b_flags & bindings::B_QUEUED != 0;
                granting |= !decided && (!is_on_list(block) || block.b_when != NLM_NEVER);
            });
        }
        granting
    }

    /// Calls `f` with each block of the file: what waits, and what clients are told they got.
    ///
    /// # Safety
    ///
    /// `f_mutex` of the file and `nlm_blocked_lock` must be held.
    pub(super) unsafe fn each_block(&self, mut f: impl FnMut(&bindings::nlm_block)) {
        // SAFETY: By the safety requirements the list of `struct nlm_block`, linked by `b_flist`,
        // does not change.
        unsafe {
            let head = &raw const self.0.f_blocks;
            let mut at = (*head).next.cast_const();
            while at != head {
                f(&*kernel::container_of!(at, bindings::nlm_block, b_flist));
                at = (*at).next;
            }
        }
    }

    /// The first share that a client in `net` has on the file.
    ///
    /// # Safety
    ///
    /// Must only be called where `nlmsvc_traverse_shares()` walks the same list.
    pub(super) unsafe fn first_share(&self, net: Net) -> Option<(Host<'a>, Share<'a>)> {
        let mut at = self.0.f_shares;
        // SAFETY: By the safety requirements the list does not change under us unless it does so
        // under lockd itself. A share pins its host, and its owner is kept behind it.
        unsafe {
            while let Some(share) = at.as_ref() {
                let host = Host(&*share.s_host);
                if host.net() == net {
                    let owner = &share.s_owner;
                    let share = Share {
                        owner: slice::from_raw_parts(owner.data, owner.len as usize),
                        access: share.s_access,
                        mode: share.s_mode,
                    };
                    return Some((host, share));
                }
                at = share.s_next;
            }
        }
        None
    }
}

/// The locks of lockd's clients on one file.
///
/// # Invariants
///
/// `at` and `head` are null, or on a list of `struct file_lock`, linked by `flc_list`, that does not
/// change for `'a`.
pub(crate) struct Locks<'a> {
    at: *const bindings::list_head,
    head: *const bindings::list_head,
    _list: PhantomData<&'a bindings::list_head>,
}

/// Who holds a lock, and of which kind.
pub(crate) struct Holder<'a> {
    pub(crate) host: Host<'a>,
    pub(crate) svid: u32,
    pub(crate) exclusive: bool,
}

/// What a holder has locked, from one byte to another, as far as the locks follow each other.
pub(crate) struct Ranges<'a> {
    locks: Locks<'a>,
    owner: *const c_void,
    kind: u8,
}

impl<'a> Locks<'a> {
    fn none() -> Self {
        // INVARIANT: They are null.
        Self {
            at: ptr::null(),
            head: ptr::null(),
            _list: PhantomData,
        }
    }

    /// # Safety
    ///
    /// `flc_lock` of the list must be held for `'a`.
    unsafe fn on(head: &'a bindings::list_head) -> Self {
        // INVARIANT: By the safety requirements.
        Self {
            at: head.next,
            head,
            _list: PhantomData,
        }
    }

    #[inline]
    fn peek(&self) -> Option<&'a bindings::file_lock> {
        if self.at == self.head {
            return None;
        }
        // SAFETY: By the type invariant.
        unsafe {
            let fl = kernel::container_of!(self.at, bindings::file_lock_core, flc_list);
            Some(&*kernel::container_of!(fl, bindings::file_lock, c))
        }
    }

    /// Goes on behind `fl`, the lock that was looked at.
    #[inline]
    fn pass(&mut self, fl: &bindings::file_lock) {
        // INVARIANT: What follows it is on the list, too, or its head.
        self.at = fl.c.flc_list.next;
    }

    /// Calls `f` with the next holder and what it has locked; [`None`] if there is none.
    #[inline]
    pub(crate) fn run<R>(
        &mut self,
        f: impl FnOnce(&Holder<'a>, &mut Ranges<'a>) -> R,
    ) -> Option<R> {
        let (fl, holder) = loop {
            let fl = self.peek()?;
            if let Some(holder) = Holder::of(fl) {
                break (fl, holder);
            }
            self.pass(fl);
        };
        let mut ranges = Ranges {
            // INVARIANT: As `self`, which is put behind what this passes.
            locks: Self { ..*self },
            owner: fl.c.flc_owner,
            kind: fl.c.flc_type,
        };
        let result = f(&holder, &mut ranges);
        ranges.by_ref().for_each(drop);
        self.at = ranges.locks.at;
        Some(result)
    }

    /// How many there are.
    pub(crate) fn count(mut self) -> usize {
        let mut count = 0;
        while let Some(met) = self.run(|_, ranges| ranges.count()) {
            count += met;
        }
        count
    }
}

impl<'a> Holder<'a> {
    /// Whose lock it is, if it is one of lockd's.
    fn of(fl: &'a bindings::file_lock) -> Option<Self> {
        if !LOCK_OPERATIONS.is(fl.fl_lmops as usize) {
            return None;
        }
        let it = fl.c.flc_owner.cast::<bindings::nlm_lockowner>();
        // SAFETY: That is what lockd's locks are owned by. The lock, which stays for `'a`, pins its
        // owner, and that its host.
        let (host, svid) = unsafe { (Host(&*(*it).host), (*it).pid) };
        Some(Self {
            host,
            svid,
            exclusive: is_exclusive(fl),
        })
    }
}

impl Iterator for Ranges<'_> {
    type Item = (u64, u64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let fl = self.locks.peek()?;
        // What has the owner of one of lockd's locks is one, too.
        if !ptr::eq(fl.c.flc_owner, self.owner) || fl.c.flc_type != self.kind {
            return None;
        }
        self.locks.pass(fl);
        Some((fl.fl_start as u64, fl.fl_end as u64))
    }
}

/// A client, as lockd knows it: by its address, the server's and more.
#[derive(Clone, Copy)]
pub(crate) struct Host<'a>(&'a bindings::nlm_host);

impl<'a> Host<'a> {
    /// Borrows a `struct nlm_host *` argument.
    ///
    /// # Safety
    ///
    /// `argument` must point to a `struct nlm_host` that is pinned for `'a`.
    pub(crate) unsafe fn from_argument(argument: usize) -> Self {
        // SAFETY: By the safety requirements.
        Self(unsafe { &*ptr::with_exposed_provenance::<bindings::nlm_host>(argument) })
    }

    /// Its network namespace.
    pub(crate) fn net(&self) -> Net {
        Net::from_raw(self.0.net)
    }

    /// Whether it is a client of ours; if not, it is a server that we are a client of.
    pub(crate) fn is_client(&self) -> bool {
        self.0.h_server() != 0
    }

    pub(super) fn as_ptr(&self) -> *const bindings::nlm_host {
        self.0
    }

    /// What tells hosts apart while they are pinned.
    pub(crate) fn id(&self) -> usize {
        ptr::from_ref(self.0).addr()
    }

    /// The address of the client.
    pub(crate) fn client(&self) -> Option<IpAddr> {
        address::of(&self.0.h_addr)
    }

    /// The address of the server that the client used.
    pub(crate) fn server(&self) -> Option<IpAddr> {
        address::of(&self.0.h_srcaddr)
    }

    /// What the client calls itself.
    pub(crate) fn name(&self) -> &'a [u8] {
        if self.0.h_name.is_null() {
            return &[];
        }
        // SAFETY: `h_name` is a C string that lives as long as the host.
        unsafe { CStr::from_char_ptr(self.0.h_name) }.to_bytes()
    }
}

/// Whether a block is on lockd's own list, `nlm_blocked`.
fn is_on_list(block: &bindings::nlm_block) -> bool {
    block.b_list.next.cast_const() != &raw const block.b_list
}

fn is_exclusive(fl: &bindings::file_lock) -> bool {
    u32::from(fl.c.flc_type) == bindings::F_WRLCK
}

fn range(fl: &bindings::file_lock, svid: u32) -> Range {
    Range {
        svid,
        exclusive: is_exclusive(fl),
        start: fl.fl_start as u64,
        end: fl.fl_end as u64,
    }
}

fn decode(handle: &bindings::nfs_fh) -> Option<HandleFsid> {
    let len = usize::from(handle.size).min(handle.data.len());
    HandleFsid::decode(&handle.data[..len])
}

/// Closes the files that lockd is done with, which its thread leaves to a worker: until then they
/// keep their filesystem busy. May sleep.
pub(crate) fn close_files() {
    // SAFETY: The function has no requirements.
    unsafe { bindings::flush_delayed_fput() };
}
