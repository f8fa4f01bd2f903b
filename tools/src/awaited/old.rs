// SPDX-License-Identifier: GPL-2.0-only

//! Lists of before: they have only the files of a client, and not what it had on them.

use super::{
    inodes,
    Awaited,
    Lost, //
};
use crate::held::File;
use crate::policy::manifest::text::{
    Buffers,
    Line, //
};
use crate::policy::nfs4::list::{
    MAX_CLIENTS,
    MAX_LINES,
    MAX_NAME, //
};
use crate::policy::words::Words;
use std::collections::BTreeMap;

/// The first line.
const VERSION: &str = "nfs-failover nfs4-clients 1";
/// The same of a list that belongs to a manifest.
const WITH_MANIFEST: &str = "nfs-failover nfs4-clients 2";

/// What was written, whole.
pub(super) fn parse(text: &[u8]) -> Option<Awaited> {
    let mut lines = std::str::from_utf8(text).ok()?.split_inclusive('\n');
    let first = lines.next()?.strip_suffix('\n')?;
    let mut buffers = Buffers::new();
    let Ok(Line::Unit(header)) = Line::parse(lines.next()?.as_bytes(), &mut buffers) else {
        return None;
    };
    let version = match header.lists_nfs4() {
        true => WITH_MANIFEST,
        false => VERSION,
    };
    if first != version {
        return None;
    }
    let mut clients = BTreeMap::new();
    let mut room = MAX_LINES;
    loop {
        let line = lines.next()?.strip_suffix('\n')?;
        if let Some(words) = line.strip_prefix("client ") {
            let (name, lost) = client(words, &mut room)?;
            if clients.insert(name, lost).is_some() || clients.len() as u64 > MAX_CLIENTS {
                return None;
            }
        } else {
            let whole = line == format!("end clients={}", clients.len());
            let last = lines.next().is_none();
            let list = Awaited::of(header, clients)?;
            return (whole && last && !list.clients.is_empty()).then_some(list);
        }
    }
}

/// A client of the list, from what its line says of it. There is room for so many files.
fn client(words: &str, room: &mut u64) -> Option<(Vec<u8>, Lost)> {
    let (completes, words) = match words.strip_prefix("completes=no ") {
        Some(rest) => (false, rest),
        None => (true, words),
    };
    let (files, words) = match words.strip_prefix("files=") {
        Some(rest) => {
            let (files, rest) = rest.split_once(' ')?;
            (inodes::parse(files, *room)?, rest)
        }
        None => (None, words),
    };
    let files = files.map(|inodes| {
        *room -= inodes.len() as u64;
        let files = inodes.into_iter().map(|inode| (inode, File::anything()));
        files.collect()
    });
    let mut buffer = [0; MAX_NAME];
    let mut words = Words::new(words.strip_prefix("name=")?.as_bytes()).ok()?;
    let name = words.next_into(&mut buffer).ok()?.to_vec();
    words.finish().ok()?;
    let lost = Lost { completes, files };
    lost.is_useful().then_some((name, lost))
}
