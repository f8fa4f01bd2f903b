// SPDX-License-Identifier: GPL-2.0-only

//! Putting records in order, once all are there.

use super::{
    chunks::Chunks,
    gather::{
        each_range,
        entry,
        of,
        Client,
        File,
        Ranges,
        Records,
        Run,
        MAX_ENTRIES, //
    },
    holder,
    range::listed::{
        Listed,
        Lock, //
    },
    sort,
    Ledger, //
};
use crate::policy::state::share;
use core::cmp::Ordering;
use kernel::prelude::*;

impl Ledger {
    /// Puts files, clients and what they hold into their order, so that numbers compare as they do.
    ///
    /// Returns `EINVAL` if two locks, or two shares, contradict each other and `E2BIG` if there are
    /// too many. May sleep.
    pub(crate) fn new(records: Records) -> Result<Self> {
        if records.too_many() || records.shares.len() > MAX_ENTRIES {
            return Err(E2BIG);
        }
        let Records {
            bytes,
            files,
            clients,
            runs,
            ranges,
            mut blocked,
            mut shares,
            opaque,
            ..
        } = records;
        let mut locks = unpack(runs, ranges)?;
        let (files, file_numbers) = renumber(&files, |a: &File, b: &File| {
            let by_prefix = a.prefix.cmp(&b.prefix);
            by_prefix.then_with(|| of(&bytes, a.key).cmp(of(&bytes, b.key)))
        })?;
        let (clients, client_numbers) = renumber(&clients, |a: &Client, b: &Client| {
            (&a.host, of(&bytes, a.name)).cmp(&(&b.host, of(&bytes, b.name)))
        })?;
        let mut clients_by_name = KVVec::with_capacity(clients.len(), GFP_KERNEL)?;
        for client in 0..clients.len() {
            clients_by_name.push(client as u32, GFP_KERNEL)?;
        }
        let name = |client: &Client| of(&bytes, client.name);
        holder::order_by_name(&clients, name, &mut clients_by_name);
        let owner = |client: u32| {
            let host = clients[client as usize].host;
            clients.partition_point(|client| client.host < host) as u32
        };
        for list in [&mut locks, &mut blocked] {
            for lock in list {
                lock.file = file_numbers[lock.file as usize];
                lock.client = client_numbers[lock.client as usize];
                lock.owner = owner(lock.client);
            }
        }
        for share in &mut shares {
            share.file = file_numbers[share.file as usize];
            share.client = client_numbers[share.client as usize];
            share.owner = owner(share.client);
        }
        let locks = Listed::new(locks, files.len())?;
        sort::by_key(&mut shares, |share| share.file);
        let modes = shares.iter().map(|it| (it.file, it.access, it.mode));
        if !share::consistent(modes) {
            return Err(EINVAL);
        }
        Ok(Self {
            bytes,
            files,
            clients,
            clients_by_name,
            locks,
            blocked,
            shares,
            opaque,
        })
    }
}

/// Makes locks of runs.
fn unpack(runs: Chunks<Run>, ranges: Ranges) -> Result<KVVec<Lock>> {
    let mut locks = KVVec::with_capacity(ranges.len(), GFP_KERNEL)?;
    each_range(&runs, &ranges, |run, range| {
        // lockd lets NLM version 3 have these; nobody can be in their way.
        if range.start > range.end {
            return Ok(());
        }
        let lock = entry(run.file, run.client, range);
        Ok(locks.push(lock, GFP_KERNEL)?)
    })?;
    Ok(locks)
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
