// SPDX-License-Identifier: GPL-2.0-only

//! The secret of the nodes, with which one signs for the next what lies where clients can write.

use crate::error::{
    Context,
    Error,
    Result, //
};
use hmac::{
    Hmac,
    KeyInit,
    Mac, //
};
use nix::unistd::geteuid;
use sha2::Sha256;
use std::fs::File;
use std::io::{
    self,
    Read, //
};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Where it is.
pub const DEFAULT_PATH: &str = "/etc/nfs-failover.key";

const SHORTEST: usize = 16;
const LONGEST: u64 = 4096;

/// What the last line of a signed text begins with.
const SIGNATURE: &str = "hmac-sha256 ";

/// A secret that all nodes have.
pub struct Key(Vec<u8>);

impl Key {
    /// Reads it. There may be none.
    pub fn load(path: &Path) -> Result<Option<Self>> {
        let shown = path.display();
        let context = || format!("cannot read {shown}");
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.context(context)?,
        };
        let metadata = file.metadata().context(context)?;
        if metadata.uid() != geteuid().as_raw() || metadata.mode() & 0o077 != 0 {
            return Err(Error::new(format!(
                "{shown} can be read or written by others than root, so it is no secret: make a new one, \"chmod 600\"; see operations.rst"
            )));
        }
        let mut bytes = Vec::new();
        file.take(LONGEST + 1)
            .read_to_end(&mut bytes)
            .context(context)?;
        // An editor may have added a newline on one node.
        let key = bytes.trim_ascii();
        if key.len() < SHORTEST || bytes.len() as u64 > LONGEST {
            return Err(Error::new(format!(
                "{shown} has {} bytes, a key has {SHORTEST} to {LONGEST}",
                key.len()
            )));
        }
        Ok(Some(Self(key.into())))
    }

    fn mac(&self, text: &[u8]) -> Hmac<Sha256> {
        // Keys of any length are taken, see the tests.
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.0)
            .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
        mac.update(text);
        mac
    }

    /// Adds a line with the signature to a text.
    pub fn sign(&self, text: &mut Vec<u8>) {
        let tag = self.mac(text).finalize().into_bytes();
        text.extend(SIGNATURE.as_bytes());
        for byte in tag {
            text.extend(format!("{byte:02x}").as_bytes());
        }
        text.push(b'\n');
    }

    /// Whether this is the signature of a text.
    pub fn fits(&self, text: &[u8], signature: &[u8]) -> bool {
        self.mac(text).verify_slice(signature).is_ok()
    }
}

/// Splits off the signature. [`None`] if there is none.
pub fn split(text: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    let without_end = text.strip_suffix(b"\n")?;
    let start = without_end.iter().rposition(|byte| *byte == b'\n')? + 1;
    let digits = without_end[start..].strip_prefix(SIGNATURE.as_bytes())?;
    let signature = digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect::<Option<_>>()?;
    Some((&text[..start], signature))
}
