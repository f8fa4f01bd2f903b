// SPDX-License-Identifier: GPL-2.0-only

//! What `floating_ips` is told and asked.

use super::{
    Address,
    Key,
    ADDRESSES,
    STATE, //
};
use crate::{
    policy::{
        command::Change,
        line::{
            FloatingClient,
            FloatingEnd,
            FloatingIp, //
        }, //
    },
    sys::{
        net::Net,
        text::Text, //
    },
};
use core::net::IpAddr;
use kernel::{
    prelude::*,
    rbtree::RBTreeNodeReservation,
    sync::atomic::Relaxed, //
};

/// Maximum number of floating addresses of one network namespace.
const MAX_ADDRESSES: usize = 64;

/// Makes an address a floating one.
pub(crate) fn add(net: Net, ip: IpAddr, confirm: bool) -> Result {
    // The room for one more is made without the lock.
    let mut spare = KVec::new();
    loop {
        let mut state = STATE.lock();
        if let Some(address) = state.address(net, ip) {
            address.confirm = confirm;
            return Ok(());
        }
        let there = state.addresses.len();
        if state.addresses.iter().filter(|old| old.net == net).count() >= MAX_ADDRESSES {
            return Err(ENOSPC);
        }
        if spare.capacity() > there {
            let address = Address {
                net,
                ip,
                confirm,
                refused: 0,
                lost: 0,
                release: 0,
            };
            for old in state.addresses.drain_all() {
                spare.push_within_capacity(old).map_err(|_| ENOMEM)?;
            }
            spare.push_within_capacity(address).map_err(|_| ENOMEM)?;
            core::mem::swap(&mut state.addresses, &mut spare);
            ADDRESSES.store(there + 1, Relaxed);
            drop(state);
            return Ok(());
        }
        drop(state);
        spare = KVec::with_capacity(there + 1, GFP_KERNEL)?;
    }
}

/// Makes an address an ordinary one and forgets its clients; `ENOENT` if it is one.
pub(crate) fn remove(net: Net, ip: IpAddr) -> Result {
    let mut state = STATE.lock();
    let before = state.addresses.len();
    state
        .addresses
        .retain(|address| (address.net, address.ip) != (net, ip));
    if state.addresses.len() == before {
        return Err(ENOENT);
    }
    ADDRESSES.store(state.addresses.len(), Relaxed);
    drop(state);
    // One at a time, so that nobody spins for long.
    let (first, is_of) = (Key::first(net, ip), |key: &Key| {
        (key.net, key.server) == (net, ip)
    });
    while STATE.lock().forget_one(&first, is_of) {}
    Ok(())
}

/// What is known of a client changes; `ENOENT` if `ip` is no floating address.
pub(crate) fn change(net: Net, ip: IpAddr, client: IpAddr, change: Change) -> Result {
    let key = Key {
        net,
        server: ip,
        client,
    };
    // Only for a client that is new, but it cannot be made under the lock.
    let room = RBTreeNodeReservation::new(GFP_KERNEL)?;
    let mut guard = STATE.lock();
    let state = &mut *guard;
    if state.address(net, ip).is_none() {
        return Err(ENOENT);
    }
    match change {
        Change::Recorded => {
            if state.pair(&key).is_none() {
                state.insert(key, room)?;
            }
            state.pair(&key).ok_or(ENOENT)?.record();
        }
        Change::Lost => {
            state.pair(&key).ok_or(ENOENT)?.lose_record();
            if let Some(address) = state.address(net, ip) {
                address.lost += 1;
            }
        }
        Change::Forgotten => {
            state.pair(&key).ok_or(ENOENT)?;
            state.drop_pair(&key);
        }
    }
    Ok(())
}

/// Prints the floating addresses of `net`, in their order.
pub(crate) fn show(net: Net, text: &mut Text) -> Result {
    let mut last = None;
    loop {
        let state = STATE.lock();
        // By number, one that is removed meanwhile would have another skipped.
        let addresses = state.addresses.iter();
        let behind = addresses.filter(|it| it.net == net && Some(it.ip) > last);
        let Some(address) = behind.min_by_key(|it| it.ip) else {
            return Ok(());
        };
        let ip = address.ip;
        let line = FloatingIp {
            ip,
            confirm: address.confirm,
            clients: state.clients(net, ip),
            refused: address.refused,
        };
        drop(state);
        text.add(format_args!("{line}\n"))?;
        last = Some(ip);
    }
}

/// Prints the clients of a floating address, or one of them; `ENOENT` if it is none.
pub(crate) fn list(net: Net, ip: IpAddr, only: Option<IpAddr>, text: &mut Text) -> Result {
    let mut end = FloatingEnd {
        lost: STATE.lock().address(net, ip).ok_or(ENOENT)?.lost,
        ..FloatingEnd::default()
    };
    let first = only.map_or(Key::first(net, ip), |client| Key {
        net,
        server: ip,
        client,
    });
    // Text needs memory, which is not allocated under the lock.
    let mut next = STATE.lock().next(&first, false);
    while let Some((key, pair)) = next.filter(|(key, _)| only.is_none_or(|it| it == key.client)) {
        end.clients += 1;
        end.unrecorded += usize::from(!pair.is_recorded());
        let line = FloatingClient {
            client: key.client,
            monitored: pair.is_monitored(),
            recorded: pair.is_recorded(),
        };
        text.add(format_args!("{line}\n"))?;
        next = STATE.lock().next(&key, true);
    }
    text.add(format_args!("{end}\n"))
}
