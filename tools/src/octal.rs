// SPDX-License-Identifier: GPL-2.0-only

//! Paths as words of a line, the way the kernel and nfs-utils write them: `/srv/a\040b`.

use std::ffi::OsString;
use std::fmt::Write;
use std::os::unix::ffi::{
    OsStrExt,
    OsStringExt, //
};
use std::path::{
    Path,
    PathBuf, //
};

/// A path as one word.
pub fn escape(path: &Path) -> String {
    let mut word = String::new();
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'"' | b'#') {
            word.push(char::from(*byte));
        } else {
            let _ = write!(word, "\\{byte:03o}");
        }
    }
    word
}

/// The path that a word stands for.
pub fn unescape(word: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, octal(after)) {
            (b'\\', Some(value)) => {
                bytes.push(value);
                rest = &after[3..];
            }
            _ => bytes.push(byte),
        }
    }
    OsString::from_vec(bytes).into()
}

fn octal(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits.get(..3)?).ok()?;
    u8::from_str_radix(digits, 8).ok()
}
