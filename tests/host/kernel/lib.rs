// SPDX-License-Identifier: GPL-2.0-only

//! What `rust/ledger` uses of the `kernel` crate, over the lists of the standard library.
//!
//! Names and signatures are those of the kernel. Memory is only short where a test says so, with
//! [`alloc::fail_after`].

use std::ops::{
    Deref,
    DerefMut, //
};

/// An error number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error(i32);

/// `E2BIG`.
pub const E2BIG: Error = Error(7);
/// `ENOMEM`.
pub const ENOMEM: Error = Error(12);
/// `EINVAL`.
pub const EINVAL: Error = Error(22);

/// As in the kernel.
pub type Result<T = (), E = Error> = core::result::Result<T, E>;

/// Allocating.
pub mod alloc {
    use std::cell::Cell;

    /// There is no memory.
    #[derive(Clone, Copy, Debug)]
    pub struct AllocError;

    impl From<AllocError> for super::Error {
        fn from(_: AllocError) -> Self {
            super::ENOMEM
        }
    }

    /// How to allocate.
    #[derive(Clone, Copy, Debug)]
    pub struct Flags(pub(crate) u32);

    impl std::ops::BitOr for Flags {
        type Output = Self;

        fn bitor(self, other: Self) -> Self {
            Self(self.0 | other.0)
        }
    }

    /// Flags that are not in the prelude.
    pub mod flags {
        /// Says nothing if it fails.
        pub const __GFP_NOWARN: super::Flags = super::Flags(4);
    }

    std::thread_local! {
        static LEFT: Cell<usize> = const { Cell::new(usize::MAX) };
    }

    /// Lets allocations of this thread fail after that many that may not sleep.
    pub fn fail_after(left: usize) {
        LEFT.set(left);
    }

    pub(crate) fn allocate(flags: Flags) -> Result<(), AllocError> {
        if flags.0 & super::GFP_NOWAIT.0 != 0 {
            LEFT.set(LEFT.get().checked_sub(1).ok_or(AllocError)?);
        }
        Ok(())
    }
}

use alloc::{
    AllocError,
    Flags, //
};

/// May sleep.
pub const GFP_KERNEL: Flags = Flags(1);
/// Does not sleep.
pub const GFP_NOWAIT: Flags = Flags(2);

/// There is no room.
#[derive(Debug)]
pub struct PushError<T>(pub T);

/// A list whose room is allocated first.
#[derive(Debug)]
pub struct KVec<T>(Vec<T>);

/// The same here.
pub type KVVec<T> = KVec<T>;

impl<T> Default for KVec<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> KVec<T> {
    /// An empty list without room.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// An empty list.
    pub fn with_capacity(capacity: usize, flags: Flags) -> Result<Self, AllocError> {
        let mut list = Self::new();
        list.reserve(capacity, flags)?;
        Ok(list)
    }

    /// Makes room for that many more.
    pub fn reserve(&mut self, more: usize, flags: Flags) -> Result<(), AllocError> {
        if self.0.capacity() - self.0.len() < more {
            alloc::allocate(flags)?;
            self.0.reserve_exact(more);
        }
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// For how many there is room.
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Appends an element.
    pub fn push(&mut self, value: T, flags: Flags) -> Result<(), AllocError> {
        self.reserve(1, flags)?;
        self.0.push(value);
        Ok(())
    }

    /// Appends an element if there is room.
    pub fn push_within_capacity(&mut self, value: T) -> Result<(), PushError<T>> {
        if self.0.len() == self.0.capacity() {
            return Err(PushError(value));
        }
        self.0.push(value);
        Ok(())
    }

    /// Removes all behind `len`.
    pub fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Room that is not used.
    pub fn spare_capacity_mut(&mut self) -> &mut [core::mem::MaybeUninit<T>] {
        self.0.spare_capacity_mut()
    }

    /// Counts elements that were written behind the end.
    ///
    /// # Safety
    ///
    /// They must have been.
    pub unsafe fn inc_len(&mut self, more: usize) {
        // SAFETY: By the safety requirements.
        unsafe { self.0.set_len(self.0.len() + more) };
    }
}

impl<T: Clone> KVec<T> {
    /// Appends elements.
    pub fn extend_from_slice(&mut self, values: &[T], flags: Flags) -> Result<(), AllocError> {
        self.reserve(values.len(), flags)?;
        self.0.extend_from_slice(values);
        Ok(())
    }

    /// As many times `value`.
    pub fn from_elem(value: T, len: usize, flags: Flags) -> Result<Self, AllocError> {
        let mut list = Self::with_capacity(len, flags)?;
        list.0.resize(len, value);
        Ok(list)
    }
}

impl<T> Deref for KVec<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> DerefMut for KVec<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<'a, T> IntoIterator for &'a KVec<T> {
    type Item = &'a T;
    type IntoIter = core::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<'a, T> IntoIterator for &'a mut KVec<T> {
    type Item = &'a mut T;
    type IntoIter = core::slice::IterMut<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter_mut()
    }
}

/// A box.
#[derive(Debug)]
pub struct KBox<T>(Box<T>);

impl<T> KBox<T> {
    /// Puts a value into a box.
    pub fn new(value: T, flags: Flags) -> Result<Self, AllocError> {
        alloc::allocate(flags)?;
        Ok(Self(Box::new(value)))
    }
}

impl<T> Deref for KBox<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for KBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

/// What everything uses.
pub mod prelude {
    pub use super::{
        Error,
        KBox,
        KVVec,
        KVec,
        Result,
        E2BIG,
        EINVAL,
        ENOMEM,
        GFP_KERNEL,
        GFP_NOWAIT, //
    };
}
