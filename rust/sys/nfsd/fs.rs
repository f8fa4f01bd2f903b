// SPDX-License-Identifier: GPL-2.0-only

//! The nfsd filesystems, one for each network namespace that mounted one, and our files in them.
//!
//! `iterate_supers_type()` calls back with `s_umount` held shared, so the superblock is alive and
//! complete; the root directory's inode lock, which `simple_start_creating()` and
//! `simple_remove_by_name()` take, comes after it. A filesystem that is being mounted meets us in
//! `nfsd_fill_super()`, where nothing may sleep: an active reference is taken there and the files
//! are added by the mounting task itself before mount(2) returns to user space.
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::{
    bindings,
    sys::{
        module_ref::NfsdType,
        nfsd::control_file::{
            Control,
            Operations, //
        },
    },
};
use core::ptr;
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Relaxed, //
    }, //
};

/// Mode of a control file.
const MODE: u16 = 0o600;

/// A control file to create: its name and operations.
#[derive(Clone, Copy)]
pub(crate) struct ControlFile {
    name: &'static CStr,
    operations: &'static bindings::file_operations,
}

// SAFETY: Both are constant.
unsafe impl Sync for ControlFile {}

impl ControlFile {
    /// The file of `C`.
    pub(crate) const fn of<C: Control>() -> Self {
        Self {
            name: C::NAME,
            operations: Operations::<C>::table(),
        }
    }

    /// Creates the file, unless it is there already.
    ///
    /// # Safety
    ///
    /// `sb` must be an nfsd superblock that cannot go away meanwhile.
    unsafe fn create(&self, sb: *mut bindings::super_block) -> Result {
        // SAFETY: By the safety requirements the root dentry is valid. On success the dentry is
        // locked together with its directory until `simple_done_creating()`; the inode is given
        // to the dentry by `d_make_persistent()`.
        unsafe {
            let dentry = from_err_ptr(bindings::simple_start_creating(
                (*sb).s_root,
                self.name.as_char_ptr(),
            ))?;
            let inode = bindings::new_inode(sb);
            if inode.is_null() {
                bindings::simple_done_creating(dentry);
                return Err(ENOMEM);
            }
            (*inode).i_ino = bindings::get_next_ino().into();
            (*inode).i_mode = bindings::S_IFREG as u16 | MODE;
            bindings::simple_inode_init_ts(inode);
            (*inode).__bindgen_anon_3.i_fop = self.operations;
            bindings::d_make_persistent(dentry, inode);
            bindings::simple_done_creating(dentry);
        }
        Ok(())
    }

    /// Removes the file, so that nothing of this module will be called for it any more.
    ///
    /// The inode can outlive its name, by a bind mount for example, so it is turned into one that
    /// only gives errors. `do_dentry_open()` counts a reader or writer before it looks at the
    /// operations, and uncounts it after it has left them, so whoever still got ours is seen.
    ///
    /// # Safety
    ///
    /// `sb` must be an nfsd superblock that cannot go away meanwhile.
    unsafe fn remove(&self, sb: *mut bindings::super_block) {
        let mut name = bindings::qstr {
            name: self.name.as_char_ptr().cast(),
            ..Default::default()
        };
        name.__bindgen_anon_1.__bindgen_anon_1.len = self.name.to_bytes().len() as u32;
        // SAFETY: By the safety requirements the root dentry is valid; the dentry found is held
        // until `dput()`, and with it its inode.
        unsafe {
            let Ok(dentry) = from_err_ptr(bindings::lookup_noperm_positive_unlocked(
                &mut name,
                (*sb).s_root,
            )) else {
                return;
            };
            let inode = (*dentry).d_inode;
            if ptr::eq((*inode).__bindgen_anon_3.i_fop, self.operations) {
                bindings::simple_recursive_removal(dentry, None);
                bindings::make_bad_inode(inode);
                // Orders the new operations before the counts, as an open(2) does it the other
                // way round.
                bindings::synchronize_rcu();
                while in_use(inode) {
                    bindings::msleep(1);
                }
            }
            bindings::dput(dentry);
        }
    }
}

/// Whether any descriptor of the inode is open, being opened or being released.
///
/// # Safety
///
/// `inode` must be valid.
unsafe fn in_use(inode: *mut bindings::inode) -> bool {
    // SAFETY: By the safety requirements.
    unsafe {
        bindings::atomic_read(&raw const (*inode).i_writecount) != 0
            || bindings::atomic_read(&raw const (*inode).i_readcount) != 0
    }
}

/// Our files in every nfsd filesystem, from [`Files::create`] to the end of the value's life.
///
/// The hook that adds them to filesystems mounted later must be gone before.
pub(crate) struct Files {
    nfsd: NfsdType,
    files: &'static [ControlFile],
}

impl Files {
    /// Prepares for `files`; none is created yet.
    pub(crate) fn new(nfsd: NfsdType, files: &'static [ControlFile]) -> Self {
        Self { nfsd, files }
    }

    /// Creates the files in all nfsd filesystems. If that fails, dropping the value removes those
    /// that were created.
    pub(crate) fn create(&self) -> Result {
        let mut result: Result = Ok(());
        self.each(|sb| {
            if result.is_ok() {
                // SAFETY: `each` passes superblocks that stay.
                result = unsafe { create_all(self.files, sb) };
            }
        });
        result
    }

    fn each(&self, mut f: impl FnMut(*mut bindings::super_block)) {
        unsafe extern "C" fn call<F: FnMut(*mut bindings::super_block)>(
            sb: *mut bindings::super_block,
            f: *mut c_void,
        ) {
            // SAFETY: `f` is the pointer passed below.
            unsafe { (*f.cast::<F>())(sb) };
        }
        fn trampoline<F: FnMut(*mut bindings::super_block)>(
            _: &F,
        ) -> unsafe extern "C" fn(*mut bindings::super_block, *mut c_void) {
            call::<F>
        }
        let function = trampoline(&f);
        // SAFETY: The type is registered (invariant of `NfsdType`), and `f` outlives the call.
        unsafe {
            bindings::iterate_supers_type(self.nfsd.as_ptr(), Some(function), (&raw mut f).cast());
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let files = self.files;
        Mounting::wait();
        self.each(|sb| {
            for file in files {
                // SAFETY: `each` passes superblocks that stay.
                unsafe { file.remove(sb) };
            }
        });
    }
}

/// # Safety
///
/// `sb` must be an nfsd superblock that cannot go away meanwhile.
unsafe fn create_all(files: &[ControlFile], sb: *mut bindings::super_block) -> Result {
    for file in files {
        // SAFETY: By the safety requirements.
        match unsafe { file.create(sb) } {
            // A filesystem mounted while the module loads is seen twice.
            Err(error) if error == EEXIST => {}
            Err(error) => {
                pr_err!(
                    "cannot create {}: {:?}\n",
                    file.name.to_str().unwrap_or("?"),
                    error
                );
                return Err(error);
            }
            Ok(()) => {}
        }
    }
    Ok(())
}

/// Mounts whose files are still to be added.
static PENDING: Atomic<i32> = Atomic::new(0);

/// Whether there has been any such mount.
static EVER: Atomic<bool> = Atomic::new(false);

/// An nfsd filesystem that the current task is mounting.
#[repr(C)]
pub(super) struct Mounting {
    work: bindings::callback_head,
    sb: *mut bindings::super_block,
    files: &'static [ControlFile],
}

impl Mounting {
    /// Has `files` added when the current task returns to user space. Does not sleep.
    ///
    /// # Safety
    ///
    /// `argument` must be the `struct super_block *` of an nfsd filesystem that the current task
    /// has just filled.
    pub(super) unsafe fn add_files(argument: usize, files: &'static [ControlFile]) -> Result {
        let sb = ptr::with_exposed_provenance_mut::<bindings::super_block>(argument);
        let new = KBox::new(
            Self {
                work: bindings::callback_head {
                    next: ptr::null_mut(),
                    func: Some(Self::run),
                },
                sb,
                files,
            },
            GFP_ATOMIC,
        )?;
        let new = KBox::into_raw(new);
        PENDING.add(1, Relaxed);
        EVER.store(true, Relaxed);
        // SAFETY: The mount in progress holds an active reference, so another may be taken, and
        // giving it back at once cannot be the last. `new` belongs to the task's list if it was
        // accepted.
        unsafe {
            let active = &raw mut (*sb).s_active;
            bindings::atomic_inc(active);
            to_result(bindings::task_work_add(
                bindings::get_current(),
                &raw mut (*new).work,
                bindings::task_work_notify_mode_TWA_RESUME,
            ))
            .inspect_err(|_| {
                bindings::atomic_dec(active);
                drop(KBox::from_raw(new));
                PENDING.fetch_sub(1, kernel::sync::atomic::Release);
            })
        }
    }

    /// # Safety
    ///
    /// Only the task that [`Mounting::add_files`] ran in calls this, with its `work`.
    unsafe extern "C" fn run(work: *mut bindings::callback_head) {
        // SAFETY: `work` is the first field of what `add_files` gave to the task.
        let this = unsafe { KBox::from_raw(work.cast::<Self>()) };
        // SAFETY: The active reference keeps the superblock; it is given back here.
        unsafe {
            // There is nobody to report an error to: the mount has succeeded.
            let _ = create_all(this.files, this.sb);
            bindings::deactivate_super(this.sb);
        }
        drop(this);
        PENDING.fetch_sub(1, kernel::sync::atomic::Release);
    }

    /// Waits until no file is being added any more. The hook must be gone.
    fn wait() {
        if !EVER.load(Relaxed) {
            return;
        }
        while PENDING.load(Acquire) > 0 {
            // SAFETY: Module init and exit may sleep.
            unsafe { bindings::msleep(1) };
        }
        // SAFETY: As above. When this returns, no task is in the last instructions of `run`.
        unsafe { bindings::synchronize_rcu_tasks() };
    }
}
