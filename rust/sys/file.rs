// SPDX-License-Identifier: GPL-2.0-only

//! A control file: one command a write, one text a read.
//!
//! A descriptor remembers the text of its last command, so that a read after a write, on the same
//! descriptor, tells what became of it; a read without one shows the present state. The text is
//! taken when the read at offset 0 starts and stays the same for reads behind it.
//!
//! Lifetimes: an open file pins its inode and superblock, and the superblock its network
//! namespace (`s_fs_info`, `nfsd_fs_get_tree()`). An open file holds this module by a reference
//! of its own: with `fops.owner`, an open(2) that meets the module on its way out is a kernel
//! warning (`do_dentry_open()`, `fs/open.c`). What is on its way into [`open`] or out of
//! [`release`] without that reference is waited for by [`crate::sys::nfsdfs`].
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::{
    bindings,
    sys::{
        net::Net,
        pin::ThisModule,
        text::Text, //
    }, //
};
use core::marker::PhantomData;
use kernel::{
    new_mutex,
    prelude::*,
    sync::Mutex,
    uaccess::{
        UserPtr,
        UserSlice, //
    }, //
};

/// Longest command, in bytes.
const MAX_COMMAND: usize = 4096;

/// A control file.
pub(crate) trait Control: 'static {
    /// Its name in the nfsd filesystem.
    const NAME: &'static CStr;

    /// Whether it takes commands.
    const WRITABLE: bool = true;

    /// Carries out a command; what a following read returns goes to `reply`. May sleep.
    fn write(_net: Net, _command: &[u8], _reply: &mut Text) -> Result {
        Err(EINVAL)
    }

    /// Writes the present state to `text`. May sleep.
    fn read(_net: Net, _text: &mut Text) -> Result {
        Ok(())
    }
}

/// What an open descriptor remembers.
#[derive(Default)]
struct Shown {
    text: Text,
    /// The text is the reply to a command.
    reply: bool,
}

#[pin_data]
struct Open {
    #[pin]
    shown: Mutex<Shown>,
    _module: ThisModule,
}

/// The file operations of `C`.
pub(super) struct Operations<C>(PhantomData<C>);

impl<C: Control> Operations<C> {
    const TABLE: bindings::file_operations = bindings::file_operations {
        open: Some(open),
        read: Some(read::<C>),
        write: if C::WRITABLE { Some(write::<C>) } else { None },
        llseek: Some(bindings::default_llseek),
        release: Some(release),
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
/// `file` must be an open control file.
unsafe fn shown<'a>(file: *mut bindings::file) -> &'a Open {
    // SAFETY: By the safety requirements `open` stored a valid pointer, and `release` is not
    // called before the last operation on the file is over.
    unsafe { &*(*file).private_data.cast::<Open>() }
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
unsafe extern "C" fn open(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
    let Some(module) = ThisModule::try_get() else {
        return ENODEV.to_errno();
    };
    let new = KBox::pin_init(
        pin_init!(Open {
            shown <- new_mutex!(Shown::default()),
            _module: module,
        }),
        GFP_KERNEL,
    );
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
unsafe extern "C" fn release(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
    // SAFETY: `open` stored a pointer from `KBox::into_raw`, and nobody uses it any more.
    drop(unsafe { KBox::from_raw((*file).private_data.cast::<Open>()) });
    0
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
    let (open, net, offset) = unsafe { (shown(file), net(file), &mut *offset) };
    let mut copy = || -> Result<usize> {
        let at = usize::try_from(*offset).map_err(|_| EINVAL)?;
        let mut shown = open.shown.lock();
        if at == 0 && !shown.reply {
            let mut text = Text::new();
            C::read(net, &mut text)?;
            shown.text = text;
        }
        let rest = shown.text.as_bytes().get(at..).unwrap_or_default();
        let part = &rest[..rest.len().min(len)];
        UserSlice::new(UserPtr::from_ptr(buffer.cast()), len)
            .writer()
            .write_slice(part)?;
        *offset += part.len() as bindings::loff_t;
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
    let (open, net) = unsafe { (shown(file), net(file)) };
    let carry_out = || -> Result<usize> {
        if len > MAX_COMMAND {
            return Err(E2BIG);
        }
        let mut command = KVec::new();
        UserSlice::new(UserPtr::from_ptr(buffer.cast_mut().cast()), len)
            .read_all(&mut command, GFP_KERNEL)?;
        let mut shown = open.shown.lock();
        let mut reply = Text::new();
        C::write(net, &command, &mut reply)?;
        *shown = Shown {
            reply: !reply.as_bytes().is_empty(),
            text: reply,
        };
        Ok(len)
    };
    result(carry_out())
}
