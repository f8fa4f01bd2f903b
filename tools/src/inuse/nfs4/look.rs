// SPDX-License-Identifier: GPL-2.0-only

//! A look at what exactly the clients have, of which two sources tell: `states` of nfsd shows each client
//! and its files, `nfs4_held` of the module what it has on them.

use super::{
    all,
    Client, //
};
use crate::held::{
    self,
    Files,
    Held, //
};
use crate::nfsd::Nfsd;
use crate::policy::fsid::{
    Dev,
    Fsid, //
};
use std::collections::BTreeMap;
use std::path::Path;

impl Client {
    /// How it calls itself: what nfsd prints of it has quotes and backslashes as `\xHH`.
    pub fn called(&self) -> Vec<u8> {
        let said = self.says("name").unwrap_or_default();
        let mut name = Vec::new();
        let mut rest = said.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            let digits = after
                .strip_prefix(b"x")
                .and_then(|after| std::str::from_utf8(after.get(..2)?).ok());
            match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                Some(value) if byte == b'\\' => {
                    name.push(value);
                    rest = &after[3..];
                }
                _ => name.push(byte),
            }
        }
        name
    }

    /// Takes for each of its files what it has there, and the files that were not seen before. On one of
    /// which nothing is said it may have anything.
    fn take(&mut self, exactly: &Files) {
        self.had_on.retain(|inode, _| !exactly.contains_key(inode));
        held::add(&mut self.had_on, exactly.clone());
    }
}

/// The clients that have something on a filesystem, and what.
///
/// `states` comes first. What a client gives up before `nfs4_held` is read counts as anything that can be
/// had on its file; or it is gone from a file that has more, and then its answer was on its way before this
/// look was over, as with all that is given up before a look. What it gets meanwhile is seen. Behind the
/// fence that is only what was on its way when the fence came, and what it is told to have in place of a
/// delegation, which allows all of that. So two looks, before anything can be given up without an answer
/// and after all that was on its way, have together whatever may be reclaimed.
pub fn look(nfsd: &Path, device: Dev, fsid: Option<Fsid>) -> Vec<Client> {
    let mut found = all(nfsd, Some(device));
    let held = fsid.and_then(|fsid| Held::look(&Nfsd::new(nfsd), fsid));
    let mut alike: BTreeMap<_, usize> = BTreeMap::new();
    for client in &found {
        *alike.entry(client.called()).or_default() += 1;
    }
    for client in &mut found {
        let name = client.called();
        // Of two who have the same name it is not known who has what. A name that nobody has is of one that
        // came meanwhile, who is seen the next time, or there still when the kernel is asked for the list.
        let exactly = held.as_ref().filter(|_| alike.get(&name) == Some(&1));
        if let Some(exactly) = exactly.and_then(|held| held.of(&name)) {
            client.take(exactly);
        }
    }
    found.retain(|client| client.states > 0 || !client.had_on.is_empty());
    found
}
