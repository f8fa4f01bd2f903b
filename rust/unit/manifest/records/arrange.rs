// SPDX-License-Identifier: GPL-2.0-only

//! Putting records in order, once all are there.

use super::{
    each_range,
    entry,
    of,
    Bytes,
    Chunks,
    Client,
    File,
    Records,
    MAX_ENTRIES, //
};
use crate::policy::manifest::{
    listed,
    sort, //
};
use core::{
    cmp::Ordering,
    mem::take, //
};
use kernel::prelude::*;

impl Records {
    /// Puts files, clients and locks into their order, so that numbers compare as they do.
    ///
    /// Returns `EINVAL` if two locks contradict each other and `E2BIG` if there are too many. May
    /// sleep.
    pub(in crate::unit::manifest) fn arrange(&mut self) -> Result {
        if self.too_many() || self.shares.len() > MAX_ENTRIES {
            return Err(E2BIG);
        }
        self.unpack()?;
        let Self {
            bytes,
            new_files,
            new_clients,
            files,
            clients,
            locks,
            blocked,
            shares,
            ..
        } = self;
        let bytes: &Bytes = bytes;
        let file_order = |a: &File, b: &File| {
            let by_prefix = a.prefix.cmp(&b.prefix);
            by_prefix.then_with(|| of(bytes, a.key).cmp(of(bytes, b.key)))
        };
        let file_numbers;
        (*files, file_numbers) = renumber(new_files, file_order)?;
        let client_order = |a: &Client, b: &Client| {
            (a.address, a.server, of(bytes, a.name)).cmp(&(b.address, b.server, of(bytes, b.name)))
        };
        let client_numbers;
        (*clients, client_numbers) = renumber(new_clients, client_order)?;
        let owner = |client: u32| {
            let address = clients[client as usize].address;
            clients.partition_point(|client| client.address < address) as u32
        };
        for list in [&mut *locks, blocked] {
            for lock in list {
                lock.file = file_numbers[lock.file as usize];
                lock.client = client_numbers[lock.client as usize];
                lock.owner = owner(lock.client);
            }
        }
        for share in shares.iter_mut() {
            share.file = file_numbers[share.file as usize];
            share.client = client_numbers[share.client as usize];
            share.owner = owner(share.client);
        }
        let kept = listed::arrange(locks).map_err(|_| EINVAL)?;
        locks.truncate(kept);
        (*new_files, *new_clients) = Default::default();
        Ok(())
    }

    /// Makes locks of runs.
    fn unpack(&mut self) -> Result {
        self.locks.reserve(self.ranges.len(), GFP_KERNEL)?;
        let (runs, ranges) = (take(&mut self.runs), take(&mut self.ranges));
        each_range(&runs, &ranges, |run, range| {
            let lock = entry(run.file, run.client, range);
            Ok(self.locks.push(lock, GFP_KERNEL)?)
        })
    }
}

/// Sorts `items` without duplicates, and tells the new number of each old one.
fn renumber<T: Copy>(
    items: &Chunks<T>,
    order: impl Fn(&T, &T) -> Ordering,
) -> Result<(KVVec<T>, KVVec<u32>)> {
    let mut sorted = KVVec::with_capacity(items.len(), GFP_KERNEL)?;
    for (at, item) in items.iter().enumerate() {
        sorted.push((at as u32, *item), GFP_KERNEL)?;
    }
    sort::by(&mut sorted, |(_, a), (_, b)| order(a, b).is_lt());
    let mut numbers = KVVec::from_elem(0, items.len(), GFP_KERNEL)?;
    let mut unique: KVVec<T> = KVVec::with_capacity(items.len(), GFP_KERNEL)?;
    for (old, item) in &sorted {
        if unique.last().is_none_or(|last| order(last, item).is_ne()) {
            unique.push(*item, GFP_KERNEL)?;
        }
        numbers[*old as usize] = unique.len() as u32 - 1;
    }
    Ok((unique, numbers))
}
