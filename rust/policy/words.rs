// SPDX-License-Identifier: GPL-2.0-only

//! Splitting what was written to a control file into words, and what words say.
//!
//! Words are separated by blanks and escaped as nfsd's own files do it: `\ooo` is an octal byte,
//! a leading `\x` starts a word of hexadecimal pairs. Source: `qword_get()`,
//! `net/sunrpc/cache.c`.

use core::fmt;

/// A word could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is no further word.
    Missing,
    /// The word has a bad escape or a NUL byte, or does not fit into the buffer.
    Malformed,
}

/// What was written does not parse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid;

impl From<Error> for Invalid {
    fn from(_: Error) -> Self {
        Self
    }
}

/// Iterates over the words of one line.
pub struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    /// Takes the written bytes: one line, whose newline may be missing.
    ///
    /// Returns [`Error::Malformed`] for anything behind the newline and for NUL bytes.
    pub fn new(written: &'a [u8]) -> Result<Self, Error> {
        let line = written.strip_suffix(b"\n").unwrap_or(written);
        if line.iter().any(|byte| matches!(byte, b'\n' | 0)) {
            return Err(Error::Malformed);
        }
        Ok(Self(line))
    }

    /// Returns the next word without undoing escapes, [`None`] at the end of the line.
    pub fn next_raw(&mut self) -> Option<&'a [u8]> {
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let start = self.0.iter().position(|byte| !blank(byte))?;
        let rest = &self.0[start..];
        let end = rest.iter().position(blank).unwrap_or(rest.len());
        self.0 = &rest[end..];
        Some(&rest[..end])
    }

    /// Decodes the next word into `buffer` and returns what of it is used.
    pub fn next_into<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], Error> {
        let word = self.next_raw().ok_or(Error::Missing)?;
        let mut used = 0;
        let mut push = |byte: u8| {
            *buffer.get_mut(used).ok_or(Error::Malformed)? = byte;
            used += 1;
            // A NUL byte would end the word for the kernel and hide the rest.
            if byte == 0 {
                return Err(Error::Malformed);
            }
            Ok(())
        };
        if let Some(hex) = word.strip_prefix(b"\\x") {
            if hex.is_empty() || hex.len() % 2 != 0 {
                return Err(Error::Malformed);
            }
            for pair in hex.chunks_exact(2) {
                push((digit(pair[0], 16)? << 4) | digit(pair[1], 16)?)?;
            }
        } else {
            let mut rest = word;
            while let [byte, tail @ ..] = rest {
                if let (b'\\', Some([a @ b'0'..=b'3', b, c])) = (byte, tail.first_chunk()) {
                    push((digit(*a, 8)? << 6) | (digit(*b, 8)? << 3) | digit(*c, 8)?)?;
                    rest = &tail[3..];
                } else if *byte == b'\\' {
                    return Err(Error::Malformed);
                } else {
                    push(*byte)?;
                    rest = tail;
                }
            }
        }
        Ok(&buffer[..used])
    }

    /// Returns what follows `key` in the next word, if that begins so; else the word is still the next.
    pub fn next_value(&mut self, key: &[u8]) -> Option<&'a [u8]> {
        let mut after = Self(self.0);
        let value = after.next_raw()?.strip_prefix(key)?;
        *self = after;
        Some(value)
    }

    /// Whether the line has no further word.
    pub fn is_empty(&self) -> bool {
        Self(self.0).next_raw().is_none()
    }

    /// Succeeds if the line has no further word.
    pub fn finish(mut self) -> Result<(), Error> {
        match self.next_raw() {
            None => Ok(()),
            Some(_) => Err(Error::Malformed),
        }
    }
}

/// What follows `key` in the next word, which has to begin with that.
pub(super) fn value<'a>(words: &mut Words<'a>, key: &[u8]) -> Result<&'a [u8], Invalid> {
    words
        .next_raw()
        .and_then(|word| word.strip_prefix(key))
        .ok_or(Invalid)
}

/// A decimal number of at most that many digits, up to 19, which fit into 64 bits.
pub(super) fn decimal(word: &[u8], digits: usize) -> Option<u64> {
    if word.is_empty() || word.len() > digits || !word.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = word.iter().map(|digit| u64::from(digit - b'0'));
    Some(digits.fold(0, |sum, digit| sum * 10 + digit))
}

/// A decimal number.
pub(super) fn number(word: &[u8]) -> Result<u64, Invalid> {
    decimal(word, 19).ok_or(Invalid)
}

/// Decodes pairs of hexadecimal digits into `buffer` and returns what of it is used.
pub(super) fn hex<'b>(word: &[u8], buffer: &'b mut [u8]) -> Result<&'b [u8], Invalid> {
    if word.len() % 2 != 0 {
        return Err(Invalid);
    }
    let buffer = buffer.get_mut(..word.len() / 2).ok_or(Invalid)?;
    for (byte, pair) in buffer.iter_mut().zip(word.chunks_exact(2)) {
        *byte = (digit(pair[0], 16)? << 4) | digit(pair[1], 16)?;
    }
    Ok(buffer)
}

/// A digit.
pub(super) fn digit(byte: u8, radix: u32) -> Result<u8, Error> {
    char::from(byte)
        .to_digit(radix)
        .map(|value| value as u8)
        .ok_or(Error::Malformed)
}

/// A word whose blanks, backslashes and unprintable bytes are written as `\ooo`.
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &byte in self.0 {
            if byte.is_ascii_graphic() && byte != b'\\' {
                write!(f, "{}", char::from(byte))?;
            } else {
                write!(f, "\\{byte:03o}")?;
            }
        }
        Ok(())
    }
}

/// Bytes in hexadecimal digits.
pub(super) struct Hex<'a>(pub(super) &'a [u8]);

impl fmt::Display for Hex<'_> {
    /// In larger steps than bytes: a manifest has millions of them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; 64];
        for part in self.0.chunks(text.len() / 2) {
            let text = &mut text[..2 * part.len()];
            for (pair, byte) in text.chunks_exact_mut(2).zip(part) {
                pair[0] = DIGITS[usize::from(byte >> 4)];
                pair[1] = DIGITS[usize::from(byte & 15)];
            }
            f.write_str(core::str::from_utf8(text).map_err(|_| fmt::Error)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case = (&'static [u8], Result<&'static [u8], Error>);

    #[test]
    fn splits_and_unescapes() {
        let cases: &[Case] = &[
            (b"word\n", Ok(b"word")),
            (b"  word\t next", Ok(b"word")),
            (b"a\\040b", Ok(b"a b")),
            (b"\\134", Ok(b"\\")),
            (b"\\x2f61", Ok(b"/a")),
            (b"", Err(Error::Missing)),
            (b"\n", Err(Error::Missing)),
            (b" \t ", Err(Error::Missing)),
            (b"\\", Err(Error::Malformed)),
            (b"\\04", Err(Error::Malformed)),
            (b"\\400", Err(Error::Malformed)),
            (b"\\089", Err(Error::Malformed)),
            (b"\\000", Err(Error::Malformed)),
            (b"\\x", Err(Error::Malformed)),
            (b"\\x2", Err(Error::Malformed)),
            (b"\\x00", Err(Error::Malformed)),
            (b"\\xzz", Err(Error::Malformed)),
            (b"0123456789abcdef0", Err(Error::Malformed)),
            (b"0123456789abcdef", Ok(b"0123456789abcdef")),
            (b"\xff\xfe", Ok(b"\xff\xfe")),
        ];
        for (line, expected) in cases {
            let mut buffer = [0; 16];
            assert_eq!(
                Words::new(line).unwrap().next_into(&mut buffer),
                *expected,
                "{line:?}"
            );
        }
    }

    #[test]
    fn refuses_a_second_line_and_nul() {
        for line in [&b"a\nb"[..], b"a\n\n", b"\0", b"a\0b"] {
            assert!(Words::new(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn counts_words() {
        let mut words = Words::new(b"a  b").unwrap();
        assert_eq!(words.next_raw(), Some(&b"a"[..]));
        assert_eq!(words.next_raw(), Some(&b"b"[..]));
        assert_eq!(words.next_raw(), None);
        assert!(words.finish().is_ok());
        assert!(Words::new(b" x").unwrap().finish().is_err());
    }
}
