// SPDX-License-Identifier: GPL-2.0-only

//! Which file of a filesystem a handle means.
//!
//! Handles of one file can differ in the part that names the filesystem and, under
//! `subtree_check`, in the directory they were looked up in. Locks conflict all the same, so
//! files are compared by what is left without both.
//!
//! Source: `fs/nfsd/nfsfh.h` (`key_len()`, `struct knfsd_fh`), `include/linux/exportfs.h`
//! (`enum fid_type`), `fs/btrfs/export.h`.

use core::cmp::Ordering;

/// Longest file handle (`NFS4_FHSIZE`); those of NFSv3 have 64 bytes at most.
pub const MAX_HANDLE: usize = 128;

/// The part of a handle that names a file within its filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileId<'a> {
    /// Known to be equal for all handles of the file.
    Known(&'a [u8]),
    /// Another handle of the same file may look different: only equal handles are known to mean
    /// the same, and different ones are not known to mean different files.
    Opaque(&'a [u8]),
}

impl<'a> FileId<'a> {
    /// Takes a handle apart.
    pub fn of(handle: &'a [u8]) -> Self {
        Self::known(handle).map_or(Self::Opaque(handle), Self::Known)
    }

    /// The bytes that files are compared by.
    pub fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Known(bytes) | Self::Opaque(bytes) => bytes,
        }
    }

    /// Whether `handle`, which this was made of, names a file of its filesystem in the only way: no
    /// directory follows, and nothing that is not understood.
    pub fn ends(&self, handle: &[u8]) -> bool {
        matches!(self, Self::Known(bytes) if bytes.as_ptr_range().end == handle.as_ptr_range().end)
    }

    /// Its first bytes as a number: if they differ, the numbers compare as the bytes do. Of files of
    /// one filesystem they nearly always differ.
    pub fn prefix(&self) -> u64 {
        let bytes = self.bytes();
        bytes.first_chunk().map_or_else(
            || {
                let mut padded = [0; 8];
                padded[..bytes.len()].copy_from_slice(bytes);
                u64::from_be_bytes(padded)
            },
            |first| u64::from_be_bytes(*first),
        )
    }

    fn known(handle: &'a [u8]) -> Option<&'a [u8]> {
        let [1, _, fsid_type, fileid_type] = *handle.first_chunk::<4>()? else {
            return None;
        };
        let fsid_len = match fsid_type {
            1 => 4,
            0 | 3 | 4 | 5 => 8,
            2 => 12,
            6 => 16,
            7 => 24,
            _ => return None,
        };
        // With the number, then with the directory's part following the file's own.
        let len = match fileid_type {
            // FILEID_INO32_GEN, FILEID_INO32_GEN_PARENT
            1 | 2 => 8,
            // FILEID_INO64_GEN, FILEID_INO64_GEN_PARENT
            0x81 | 0x82 => 12,
            // FILEID_BTRFS_WITHOUT_PARENT, FILEID_BTRFS_WITH_PARENT and _ROOT
            0x4d..=0x4f => 20,
            _ => return None,
        };
        handle.get(4 + fsid_len..)?.get(..len)
    }
}

/// Finds a file among `files`, which stand in the order of their prefixes, then of their bytes.
/// `compare` orders a file's bytes against the wanted ones.
pub fn find<T>(
    files: &[T],
    wanted: u64,
    prefix: impl Fn(&T) -> u64,
    compare: impl Fn(&T) -> Ordering,
) -> Option<usize> {
    let is = |file: &T| prefix(file) == wanted && compare(file).is_eq();
    let first = files.partition_point(|file| prefix(file) < wanted);
    if files.get(first).is_some_and(is) {
        return Some(first);
    }
    // Handles that are not understood begin alike.
    let before = |file: &T| prefix(file) == wanted && compare(file).is_lt();
    let at = first + files.get(first..)?.partition_point(before);
    files.get(at).is_some_and(is).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::vec::Vec;

    #[test]
    fn equal_for_all_handles_of_a_file() {
        let file = [7, 0, 0, 0, 9, 0, 0, 0];
        let plain = [&[1, 0, 1, 1, 0xd2, 4, 0, 0][..], &file].concat();
        let parent = [
            &[1, 0, 1, 2, 0xd2, 4, 0, 0][..],
            &file,
            &[2, 0, 0, 0, 1, 0, 0, 0],
        ]
        .concat();
        let uuid = [&[1, 0, 6, 1][..], &[5; 16], &file].concat();
        for handle in [&plain, &parent, &uuid] {
            assert_eq!(FileId::of(handle), FileId::Known(&file), "{handle:?}");
        }
    }

    #[test]
    fn compared_by_prefix_first() {
        let cases: [&[u8]; 7] = [
            &[],
            &[0],
            &[1, 2],
            &[1, 2, 0, 0, 0, 0, 0, 0, 0],
            &[1, 2, 3, 4, 5, 6, 7, 8],
            &[1, 2, 3, 4, 5, 6, 7, 8, 0],
            &[1, 2, 3, 4, 5, 6, 7, 0xff],
        ];
        for a in cases {
            for b in cases {
                let prefix = |bytes| FileId::Opaque(bytes).prefix();
                assert_eq!((prefix(a), a).cmp(&(prefix(b), b)), a.cmp(b), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn found_among_others() {
        let known = |number: u8| [&[1, 0, 1, 1, 0xd2, 4, 0, 0][..], &[number; 8]].concat();
        let opaque = |number: u8| [&[1, 0, 1, 0x71, 0xd2, 4, 0, 0][..], &[number; 8]].concat();
        let all: Vec<_> = (0..40)
            .flat_map(|number| [known(number), opaque(number)])
            .collect();
        for step in 1..5 {
            let mut files: Vec<_> = all
                .iter()
                .step_by(step)
                .map(|all| FileId::of(all))
                .collect();
            files.sort_by_key(|id| id.bytes());
            for handle in &all {
                let id = FileId::of(handle);
                let at = find(&files, id.prefix(), FileId::prefix, |file| {
                    file.bytes().cmp(id.bytes())
                });
                assert_eq!(at, files.iter().position(|file| *file == id), "{handle:?}");
            }
        }
    }

    #[test]
    fn what_is_not_understood_is_opaque() {
        let cases: &[&[u8]] = &[
            &[],
            &[1, 0, 1],
            &[2, 0, 1, 1, 0, 0, 0, 0, 7, 0, 0, 0, 9, 0, 0, 0],
            &[1, 0, 9, 1, 0, 0, 0, 0, 7, 0, 0, 0, 9, 0, 0, 0],
            // A filesystem type of its own, the root, truncated.
            &[1, 0, 1, 0x71, 0, 0, 0, 0, 7, 0, 0, 0, 9, 0, 0, 0],
            &[1, 0, 1, 0, 0, 0, 0, 0],
            &[1, 0, 1, 1, 0, 0, 0, 0, 7, 0, 0, 0, 9, 0, 0],
        ];
        for handle in cases {
            assert_eq!(FileId::of(handle), FileId::Opaque(handle), "{handle:?}");
        }
    }
}
