// SPDX-License-Identifier: GPL-2.0-only

//! How a filesystem is named: by an administrator, and inside an NFS file handle.
//!
//! Source: `fs/nfsd/nfsfh.h`, `mk_fsid()` and the comment on `struct knfsd_fh`; `exports(5)`,
//! `fsid=`.

use super::words::{
    decimal,
    digit, //
};
use core::fmt;

/// Number of bytes of a UUID.
pub const UUID_LEN: usize = 16;

/// The name of an export as `exports(5)` takes it in `fsid=`: a number or a UUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsid {
    /// `fsid=1234`; `fsid=root` is `fsid=0`.
    Number(u32),
    /// `fsid=<32 hexadecimal digits>`, or the UUID of the filesystem if the export has no `fsid=`.
    Uuid([u8; UUID_LEN]),
}

impl Fsid {
    /// Parses a decimal number or a UUID of 32 hexadecimal digits.
    ///
    /// Colons and dashes between the digits of a UUID are skipped, as nfs-utils does.
    pub fn parse(word: &[u8]) -> Option<Self> {
        if let Some(value) = decimal(word, 10) {
            return u32::try_from(value).ok().map(Self::Number);
        }
        let mut uuid = [0; UUID_LEN];
        let mut digits = 0;
        for &byte in word {
            if (byte == b'-' || byte == b':') && digits > 0 {
                continue;
            }
            let value = digit(byte, 16).ok()?;
            *uuid.get_mut(digits / 2)? |= if digits % 2 == 0 { value << 4 } else { value };
            digits += 1;
        }
        (digits == 2 * UUID_LEN).then_some(Self::Uuid(uuid))
    }
}

impl fmt::Display for Fsid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Uuid(uuid) => {
                for (at, byte) in uuid.iter().enumerate() {
                    if matches!(at, 4 | 6 | 8 | 10) {
                        f.write_str("-")?;
                    }
                    write!(f, "{byte:02x}")?;
                }
                Ok(())
            }
        }
    }
}

/// A block device number, as `sb->s_dev` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dev {
    /// Major number, 12 bits.
    pub major: u32,
    /// Minor number, 20 bits.
    pub minor: u32,
}

impl Dev {
    /// From the kernel's own `dev_t` (`include/linux/kdev_t.h`).
    pub const fn from_kernel(dev: u32) -> Self {
        Self {
            major: dev >> 20,
            minor: dev & 0xf_ffff,
        }
    }
}

impl fmt::Display for Dev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// The part of a file handle that names the filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandleFsid {
    /// `FSID_NUM`.
    Number(u32),
    /// `FSID_DEV`, `FSID_MAJOR_MINOR` and `FSID_ENCODE_DEV`.
    Device(Dev),
    /// `FSID_UUID16` and `FSID_UUID16_INUM`.
    Uuid([u8; UUID_LEN]),
    /// `FSID_UUID8`: the halves of the UUID folded by exclusive or.
    Uuid8([u8; 8]),
    /// `FSID_UUID4_INUM`: the quarters of the UUID folded by exclusive or.
    Uuid4([u8; 4]),
}

impl HandleFsid {
    /// Decodes a file handle of version 1. Words are in host byte order unless noted.
    ///
    /// Returns [`None`] for handles of other servers, other versions and truncated ones.
    pub fn decode(handle: &[u8]) -> Option<Self> {
        let [1, _, kind, _] = *handle.first_chunk::<4>()? else {
            return None;
        };
        Self::from_key(kind, &handle[4..])
    }

    /// Number of bytes by which nfsd looks for an export of such handles (`key_len()`).
    pub fn key_len(kind: u8) -> Option<usize> {
        Some(match kind {
            1 => 4,
            0 | 3 | 4 | 5 => 8,
            2 => 12,
            6 => 16,
            7 => 24,
            _ => return None,
        })
    }

    /// Decodes those bytes.
    pub fn from_key(kind: u8, body: &[u8]) -> Option<Self> {
        Some(match kind {
            0 => {
                let dev = u32::from_be_bytes(*body.first_chunk()?);
                Self::Device(Dev {
                    major: dev >> 16,
                    minor: dev & 0xffff,
                })
            }
            1 => Self::Number(u32::from_ne_bytes(*body.first_chunk()?)),
            2 => Self::Device(Dev {
                major: u32::from_be_bytes(*body.first_chunk()?),
                minor: u32::from_be_bytes(*body.get(4..)?.first_chunk()?),
            }),
            3 => {
                // new_encode_dev(), include/linux/kdev_t.h.
                let dev = u32::from_ne_bytes(*body.first_chunk()?);
                Self::Device(Dev {
                    major: (dev >> 8) & 0xfff,
                    minor: (dev & 0xff) | ((dev >> 12) & 0xf_ff00),
                })
            }
            4 => Self::Uuid4(*body.get(4..)?.first_chunk()?),
            5 => Self::Uuid8(*body.first_chunk()?),
            6 => Self::Uuid(*body.first_chunk()?),
            7 => Self::Uuid(*body.get(8..)?.first_chunk()?),
            _ => return None,
        })
    }

    /// Whether a handle of this kind belongs to the export named `fsid`.
    pub fn is(&self, fsid: &Fsid) -> bool {
        match (self, fsid) {
            (Self::Number(handle), Fsid::Number(number)) => handle == number,
            (Self::Uuid(handle), Fsid::Uuid(uuid)) => handle == uuid,
            (Self::Uuid8(handle), Fsid::Uuid(uuid)) => *handle == fold(uuid),
            (Self::Uuid4(handle), Fsid::Uuid(uuid)) => *handle == fold(uuid),
            _ => false,
        }
    }
}

/// As in a manifest: `fsid=1234`, or what the handle has instead.
impl fmt::Display for HandleFsid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folded = |f: &mut fmt::Formatter<'_>, bytes: &[u8]| {
            write!(f, "uuid{}=", bytes.len())?;
            bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
        };
        match self {
            Self::Number(number) => write!(f, "fsid={number}"),
            Self::Device(dev) => write!(f, "dev={dev}"),
            Self::Uuid(uuid) => write!(f, "fsid={}", Fsid::Uuid(*uuid)),
            Self::Uuid8(bytes) => folded(f, bytes),
            Self::Uuid4(bytes) => folded(f, bytes),
        }
    }
}

/// Folds a UUID to `N` bytes by exclusive or.
fn fold<const N: usize>(uuid: &[u8; UUID_LEN]) -> [u8; N] {
    let mut folded = [0; N];
    for (at, byte) in uuid.iter().enumerate() {
        folded[at % N] ^= byte;
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::string::ToString;
    use std::vec::Vec;

    const UUID: [u8; UUID_LEN] = [
        0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x5e, 0x1c, 0xb0, 0x98, 0x77, 0x54, 0x02,
        0x1f,
    ];

    #[test]
    fn parses_what_exports_takes() {
        let uuid = Some(Fsid::Uuid(UUID));
        let cases: &[(&[u8], Option<Fsid>)] = &[
            (b"0", Some(Fsid::Number(0))),
            (b"1234", Some(Fsid::Number(1234))),
            (b"4294967295", Some(Fsid::Number(u32::MAX))),
            (b"4294967296", None),
            (b"99999999999", None),
            (b"01234567-89ab-cdef-5e1c-b0987754021f", uuid),
            (b"0123456789ABCDEF5E1CB0987754021F", uuid),
            (b"01234567:89abcdef:5e1cb098:7754021f", uuid),
            (b"", None),
            (b"-", None),
            (b"-1", None),
            (b"+1", None),
            (b"12x", None),
            (b"0x10", None),
            (b"01234567-89ab-cdef-5e1c-b0987754021", None),
            (b"01234567-89ab-cdef-5e1c-b0987754021f0", None),
            (b"\xff", None),
        ];
        for (word, expected) in cases {
            assert_eq!(Fsid::parse(word), *expected, "{word:?}");
        }
    }

    #[test]
    fn prints_what_it_parses() {
        for name in ["0", "4294967295", "01234567-89ab-cdef-5e1c-b0987754021f"] {
            assert_eq!(Fsid::parse(name.as_bytes()).unwrap().to_string(), name);
        }
    }

    fn handle(kind: u8, body: &[u8]) -> Vec<u8> {
        [&[1, 0, kind, 1], body].concat()
    }

    #[test]
    fn decodes_every_kind_of_handle() {
        let dev = HandleFsid::Device(Dev {
            major: 8,
            minor: 17,
        });
        let inode = 7u64.to_ne_bytes();
        let folded4: [u8; 4] = fold(&UUID);
        let folded8: [u8; 8] = fold(&UUID);
        let cases = [
            (handle(0, &[0, 8, 0, 17, 9, 0, 0, 0]), dev),
            (handle(1, &1234u32.to_ne_bytes()), HandleFsid::Number(1234)),
            (handle(2, &[0, 0, 0, 8, 0, 0, 0, 17, 9, 0, 0, 0]), dev),
            (handle(3, &0x0811u32.to_ne_bytes()), dev),
            (
                handle(4, &[&inode[..4], &folded4].concat()),
                HandleFsid::Uuid4(folded4),
            ),
            (handle(5, &folded8), HandleFsid::Uuid8(folded8)),
            (handle(6, &UUID), HandleFsid::Uuid(UUID)),
            (
                handle(7, &[&inode[..], &UUID].concat()),
                HandleFsid::Uuid(UUID),
            ),
        ];
        for (bytes, expected) in &cases {
            assert_eq!(HandleFsid::decode(bytes), Some(*expected));
            let len = HandleFsid::key_len(bytes[2]).unwrap();
            let key = [&bytes[4..], &[0; 24]].concat();
            assert_eq!(HandleFsid::from_key(bytes[2], &key[..len]), Some(*expected));
            let by_uuid = !matches!(expected, HandleFsid::Number(_) | HandleFsid::Device(_));
            assert_eq!(expected.is(&Fsid::Uuid(UUID)), by_uuid);
            assert!(!expected.is(&Fsid::Uuid([0; UUID_LEN])));
            assert_eq!(
                expected.is(&Fsid::Number(1234)),
                matches!(expected, HandleFsid::Number(_))
            );
        }
    }

    #[test]
    fn refuses_foreign_and_truncated_handles() {
        for kind in 0..=7 {
            let whole = handle(kind, &[0; 24]);
            assert!(HandleFsid::decode(&whole).is_some());
            assert_eq!(HandleFsid::decode(&whole[..4]), None);
            assert_eq!(HandleFsid::decode(&whole[..7]), None);
        }
        assert_eq!(HandleFsid::decode(&[]), None);
        assert_eq!(HandleFsid::decode(&handle(8, &[0; 24])), None);
        assert_eq!(HandleFsid::decode(&[2, 0, 1, 1, 0, 0, 0, 0]), None);
    }

    #[test]
    fn large_device_numbers() {
        let dev = Dev {
            major: 0xabc,
            minor: 0x12345,
        };
        let encoded = (dev.minor & 0xff) | (dev.major << 8) | ((dev.minor & !0xff) << 12);
        assert_eq!(
            HandleFsid::decode(&handle(3, &encoded.to_ne_bytes())),
            Some(HandleFsid::Device(dev))
        );
        assert_eq!(Dev::from_kernel((0xabc << 20) | 0x12345), dev);
    }
}
