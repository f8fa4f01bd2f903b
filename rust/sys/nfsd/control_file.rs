// SPDX-License-Identifier: GPL-2.0-only

//! A control file: what its operations are given, and how long that lives.
//!
//! Lifetimes: an open file pins its inode and superblock, and the superblock its network
//! namespace (`s_fs_info`, `nfsd_fs_get_tree()`). An open file holds this module by a reference
//! of its own: with `fops.owner`, an open(2) that meets the module on its way out is a kernel
//! warning (`do_dentry_open()`, `fs/open.c`). Who polls a file has it open. What is on its way into
//! [`open`] or out of [`release`] without that reference is waited for by [`crate::sys::nfsd::fs`].
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::{
    bindings,
    sys::{
        module_ref::ThisModule,
        net::Net,
        since::Since,
        watchers, //
    },
};
use core::marker::PhantomData;
use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Mutex, //
    },
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};

/// Maximum number of bytes that are taken by one write(2).
pub(crate) const MAX_WRITE: usize = 64 * 1024;

/// A control file. The value is what an open descriptor remembers; its operations exclude each
/// other. All of them may sleep.
pub(crate) trait Control: Send + Unpin + Sized + 'static {
    /// Its name in the nfsd filesystem.
    const NAME: &'static CStr;

    /// Whether it takes anything.
    const WRITABLE: bool = true;

    /// Whether who polls it is told what has changed since it was opened or read from offset 0 on.
    const POLLED: bool = false;

    /// A descriptor is being opened.
    fn open() -> Result<Self>;

    /// How much to take of a write of `len` bytes, at most [`MAX_WRITE`].
    fn accepts(len: usize) -> Result<usize>;

    /// Takes what was written.
    fn write(&mut self, net: Net, written: &[u8]) -> Result;

    /// What a read at offset `at` gives, or the beginning of it.
    fn read(&mut self, net: Net, at: usize) -> Result<&[u8]>;

    /// Somebody who has the descriptor closes it; an error is handed to them.
    fn flush(&mut self) -> Result {
        Ok(())
    }
}

#[pin_data]
struct Open<C> {
    #[pin]
    control: Mutex<C>,
    /// How many changes there were when it was opened, or read from offset 0 on.
    seen: Atomic<u64>,
    _module: ThisModule,
}

/// The file operations of `C`.
pub(super) struct Operations<C>(PhantomData<C>);

impl<C: Control> Operations<C> {
    const TABLE: bindings::file_operations = bindings::file_operations {
        open: Some(open::<C>),
        read: Some(read::<C>),
        write: if C::WRITABLE { Some(write::<C>) } else { None },
        poll: if C::POLLED { Some(poll::<C>) } else { None },
        llseek: Some(bindings::default_llseek),
        flush: Some(flush::<C>),
        release: Some(release::<C>),
        // SAFETY: Every field may be zero.
        ..unsafe { core::mem::MaybeUninit::zeroed().assume_init() }
    };

    pub(super) const fn table() -> &'static bindings::file_operations {
        &Self::TABLE
    }
}

/// # Safety
///
/// `file` must be an open control file.
unsafe fn net(file: *mut bindings::file) -> Net {
    // SAFETY: By the safety requirements; see the head of this file.
    Net::from_raw(unsafe { (*(*(*file).f_inode).i_sb).s_fs_info.cast() })
}

/// # Safety
///
/// `file` must be an open control file of `C`.
unsafe fn opened<'a, C>(file: *mut bindings::file) -> &'a Open<C> {
    // SAFETY: By the safety requirements `open` stored a valid pointer, and `release` is not
    // called before the last operation on the file is over.
    unsafe { &*(*file).private_data.cast::<Open<C>>() }
}

fn result(result: Result<usize>) -> isize {
    match result {
        Ok(len) => len as isize,
        Err(error) => error.to_errno() as isize,
    }
}

/// # Safety
///
/// Only the VFS calls this.
unsafe extern "C" fn open<C: Control>(
    _inode: *mut bindings::inode,
    file: *mut bindings::file,
) -> c_int {
    let Some(module) = ThisModule::try_get() else {
        return ENODEV.to_errno();
    };
    // SAFETY: `file` is being opened, and is a control file.
    let seen = Since::changes(unsafe { net(file) });
    let new = C::open().and_then(|control| {
        KBox::pin_init(
            pin_init!(Open {
                control <- new_mutex!(control),
                seen: Atomic::new(seen),
                _module: module,
            }),
            GFP_KERNEL,
        )
    });
    match new {
        Ok(open) => {
            // SAFETY: The mutex stays where it is until `release`; `file` is being opened.
            unsafe {
                let open = KBox::into_raw(Pin::into_inner_unchecked(open));
                (*file).private_data = open.cast();
            }
            0
        }
        Err(error) => error.to_errno(),
    }
}

/// # Safety
///
/// Only the VFS calls this, once, for a file that [`open`] succeeded for.
unsafe extern "C" fn release<C: Control>(
    _inode: *mut bindings::inode,
    file: *mut bindings::file,
) -> c_int {
    // SAFETY: `open` stored a pointer from `KBox::into_raw`, and nobody uses it any more.
    drop(unsafe { KBox::from_raw((*file).private_data.cast::<Open<C>>()) });
    0
}

/// # Safety
///
/// Only the VFS calls this, for a file that [`open`] succeeded for.
unsafe extern "C" fn flush<C: Control>(
    file: *mut bindings::file,
    _owner: bindings::fl_owner_t,
) -> c_int {
    // SAFETY: By the safety requirements.
    let open = unsafe { opened::<C>(file) };
    match open.control.lock().flush() {
        Ok(()) => 0,
        Err(error) => error.to_errno(),
    }
}

/// # Safety
///
/// Only the VFS calls this, for a file that [`open`] succeeded for.
unsafe extern "C" fn read<C: Control>(
    file: *mut bindings::file,
    buffer: *mut c_char,
    len: usize,
    offset: *mut bindings::loff_t,
) -> isize {
    // SAFETY: By the safety requirements; the VFS passes a valid offset.
    let (open, net, offset) = unsafe { (opened::<C>(file), net(file), &mut *offset) };
    let mut copy = || -> Result<usize> {
        let at = usize::try_from(*offset).map_err(|_| EINVAL)?;
        let mut control = open.control.lock();
        // Before the text is taken: what changes meanwhile is told of.
        let changes = Since::changes(net);
        let rest = control.read(net, at)?;
        let part = &rest[..rest.len().min(len)];
        UserSlice::new(UserPtr::from_ptr(buffer.cast()), len)
            .writer()
            .write_slice(part)?;
        *offset += part.len() as bindings::loff_t;
        if at == 0 {
            open.seen.store(changes, Relaxed);
        }
        Ok(part.len())
    };
    result(copy())
}

/// # Safety
///
/// Only the VFS calls this, for a file that [`open`] succeeded for.
unsafe extern "C" fn write<C: Control>(
    file: *mut bindings::file,
    buffer: *const c_char,
    len: usize,
    _offset: *mut bindings::loff_t,
) -> isize {
    // SAFETY: By the safety requirements.
    let (open, net) = unsafe { (opened::<C>(file), net(file)) };
    let take = || -> Result<usize> {
        let len = C::accepts(len)?;
        let mut written = KVVec::new();
        UserSlice::new(UserPtr::from_ptr(buffer.cast_mut().cast()), len)
            .read_all(&mut written, GFP_KERNEL)?;
        open.control.lock().write(net, &written)?;
        Ok(len)
    };
    result(take())
}

/// # Safety
///
/// Only the VFS calls this, for a file that [`open`] succeeded for.
unsafe extern "C" fn poll<C: Control>(
    file: *mut bindings::file,
    table: *mut bindings::poll_table_struct,
) -> bindings::__poll_t {
    // SAFETY: By the safety requirements. The mutex is not taken: nobody waits here for who reads.
    let (open, net) = unsafe { (opened::<C>(file), net(file)) };
    // Before the count is looked at: what changes later wakes whoever is in the queue.
    // SAFETY: By the safety requirements.
    unsafe { watchers::join(file, table) };
    if Since::changes(net) == open.seen.load(Relaxed) {
        bindings::NFS_FAILOVER_POLL_READABLE
    } else {
        bindings::NFS_FAILOVER_POLL_READABLE | bindings::NFS_FAILOVER_POLL_CHANGED
    }
}
