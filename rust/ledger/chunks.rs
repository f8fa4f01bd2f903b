// SPDX-License-Identifier: GPL-2.0-only

//! A list that grows piece by piece, so that it can where nothing sleeps.

use crate::policy::state::Full;
use kernel::{
    alloc::flags::__GFP_NOWARN,
    prelude::*, //
};

/// Size of a chunk, if nothing else is said: memory is cleared before it is given to us, so small
/// lists are not given much.
const SMALL: usize = 1024;

/// Elements at positions that never change, in chunks of `BYTES`.
///
/// # Invariants
///
/// Each chunk has room for [`Chunks::EACH`] elements. Those behind `current` are empty; `current`
/// is 0 if there are none at all.
pub(crate) struct Chunks<T, const BYTES: usize = SMALL> {
    chunks: KVec<KVec<T>>,
    current: usize,
}

impl<T, const BYTES: usize> Default for Chunks<T, BYTES> {
    fn default() -> Self {
        // INVARIANT: There are none.
        Self {
            chunks: KVec::new(),
            current: 0,
        }
    }
}

impl<T: Copy, const BYTES: usize> Chunks<T, BYTES> {
    const EACH: usize = BYTES / size_of::<T>();

    /// The position behind the last element.
    pub(crate) fn len(&self) -> usize {
        self.current * Self::EACH + self.chunks.get(self.current).map_or(0, KVec::len)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes room for that many more elements. May sleep.
    pub(crate) fn reserve(&mut self, more: usize) -> Result {
        if more <= self.room() {
            return Ok(());
        }
        let wanted = (self.current + 1).min(self.chunks.len()) + more.div_ceil(Self::EACH);
        while self.chunks.len() < wanted {
            let chunk = KVec::with_capacity(Self::EACH, GFP_KERNEL)?;
            self.chunks.push(chunk, GFP_KERNEL)?;
        }
        Ok(())
    }

    /// Adds an element. Does not sleep.
    #[inline]
    pub(crate) fn push(&mut self, value: T) -> Result<(), Full> {
        if let Some(chunk) = self.chunks.get_mut(self.current) {
            if chunk.push_within_capacity(value).is_ok() {
                return Ok(());
            }
        }
        self.append(&[value]).map(drop)
    }

    /// Adds elements as they come, and returns how many. Does not sleep.
    #[inline]
    pub(crate) fn extend(&mut self, values: &mut impl Iterator<Item = T>) -> Result<u64, Full> {
        let mut added = 0;
        loop {
            if let Some(chunk) = self.chunks.get_mut(self.current) {
                let room = Self::EACH - chunk.len();
                let met = fill(chunk, room, values);
                added += met as u64;
                if met < room {
                    return Ok(added);
                }
            }
            // The first that does not fit shows whether there is one.
            match values.next() {
                Some(value) => self.append(&[value])?,
                None => return Ok(added),
            };
            added += 1;
        }
    }

    /// Adds elements next to each other, no more than a chunk has room for, and returns the
    /// position of the first. Does not sleep.
    pub(crate) fn append(&mut self, values: &[T]) -> Result<u32, Full> {
        if self.room() < values.len() {
            self.advance(values.len())?;
        }
        let at = self.len();
        let chunk = self.chunks.get_mut(self.current).ok_or(Full)?;
        chunk
            .extend_from_slice(values, GFP_NOWAIT)
            .map_err(|_| Full)?;
        u32::try_from(at).map_err(|_| Full)
    }

    /// Room in the current chunk.
    fn room(&self) -> usize {
        let chunk = self.chunks.get(self.current);
        chunk.map_or(0, |chunk| Self::EACH - chunk.len())
    }

    /// Goes on to a chunk that has room for `len` elements.
    #[cold]
    fn advance(&mut self, len: usize) -> Result<(), Full> {
        if len > Self::EACH {
            return Err(Full);
        }
        let next = (self.current + 1).min(self.chunks.len());
        if next == self.chunks.len() {
            let flags = GFP_NOWAIT | __GFP_NOWARN;
            let chunk = KVec::with_capacity(Self::EACH, flags).map_err(|_| Full)?;
            self.chunks.push(chunk, flags).map_err(|_| Full)?;
        }
        // INVARIANT: It is empty, as all behind it.
        self.current = next;
        Ok(())
    }

    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        self.chunks.get(at / Self::EACH)?.get(at % Self::EACH)
    }

    pub(crate) fn last(&self) -> Option<&T> {
        self.get(self.len().checked_sub(1)?)
    }

    /// Elements that were added together.
    pub(crate) fn slice(&self, at: usize, len: usize) -> &[T] {
        let chunk = self.chunks.get(at / Self::EACH);
        chunk
            .and_then(|chunk| chunk.get(at % Self::EACH..)?.get(..len))
            .unwrap_or(&[])
    }

    /// All elements; of no use if some were added together.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// Forgets all from position `len` on.
    pub(crate) fn truncate(&mut self, len: usize) {
        let current = len / Self::EACH;
        if let Some(chunk) = self.chunks.get_mut(current) {
            chunk.truncate(len % Self::EACH);
            for chunk in &mut self.chunks[current + 1..] {
                chunk.clear();
            }
            // INVARIANT: Those behind it have been emptied.
            self.current = current;
        }
    }
}

/// Adds up to `room` elements as they come, and returns how many.
#[inline]
fn fill<T: Copy>(to: &mut KVec<T>, room: usize, values: &mut impl Iterator<Item = T>) -> usize {
    let spare = to.spare_capacity_mut();
    let room = room.min(spare.len());
    let slots = spare[..room].as_mut_ptr_range();
    let mut slot = slots.start;
    // One counter less than with an index: this runs for each lock that a release drops.
    while slot != slots.end {
        let Some(value) = values.next() else {
            break;
        };
        // SAFETY: It is one of the slots, as the end is not reached yet.
        unsafe {
            (*slot).write(value);
            slot = slot.add(1);
        }
    }
    // SAFETY: Both point into the same slots, and those between them have been written.
    unsafe {
        let added = slot.offset_from(slots.start) as usize;
        to.inc_len(added);
        added
    }
}
