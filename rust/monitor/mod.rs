// SPDX-License-Identifier: GPL-2.0-only

//! Floating addresses, and the clients that statd was told of for each.
//!
//! Guarded by one spinlock, which hooks take, too: nothing sleeps under it, and what is freed or
//! allocated beneath it is small. While there is no floating address, hooks do not take it.

use crate::{
    policy::pair::{
        Loss,
        Pair, //
    },
    sys::{
        host::Host,
        net::{
            Net,
            OnExit, //
        },
        nsm,
        text::Text, //
    },
};
use core::net::{
    IpAddr,
    Ipv4Addr, //
};
use kernel::{
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode, //
    },
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// Most floating addresses of one network namespace.
const MAX_ADDRESSES: usize = 64;

/// Most pairs of a client and an address, of all namespaces.
const MAX_PAIRS: usize = 65536;

/// No address is before this one.
const UNSPECIFIED: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

struct Address {
    net: Net,
    ip: IpAddr,
    /// Locks need a confirmed record.
    confirm: bool,
    /// Locks that were refused for want of one.
    refused: u64,
}

/// A client that uses a floating address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    net: Net,
    server: IpAddr,
    client: IpAddr,
}

struct State {
    addresses: KVec<Address>,
    /// There while the [`Monitor`] is.
    pairs: Option<RBTree<Key, Pair>>,
    count: usize,
}

kernel::sync::global_lock! {
    // SAFETY: Initialised in `Monitor::new` before anything can reach it.
    unsafe(uninit) static STATE: SpinLock<State> = State {
        addresses: KVec::new(),
        pairs: None,
        count: 0,
    };
}

/// How many floating addresses there are.
static ADDRESSES: Atomic<usize> = Atomic::new(0);

impl State {
    fn address(&mut self, net: Net, ip: IpAddr) -> Option<&mut Address> {
        let mut addresses = self.addresses.iter_mut();
        addresses.find(|address| (address.net, address.ip) == (net, ip))
    }

    fn pair(&mut self, key: &Key) -> Option<&mut Pair> {
        self.pairs.as_mut()?.get_mut(key)
    }

    /// The pair, made if need be; [`None`] if there is no room for it.
    fn pair_or_new(&mut self, key: Key, flags: kernel::alloc::Flags) -> Option<&mut Pair> {
        if self.pair(&key).is_none() {
            if self.count == MAX_PAIRS {
                return None;
            }
            let pairs = self.pairs.as_mut()?;
            pairs
                .try_create_and_insert(key, Pair::default(), flags)
                .ok()?;
            self.count += 1;
        }
        self.pair(&key)
    }

    fn drop_pair(&mut self, key: &Key) {
        let removed = self.pairs.as_mut().and_then(|pairs| pairs.remove(key));
        self.count -= usize::from(removed.is_some());
    }

    fn clients(&self, net: Net, ip: IpAddr) -> usize {
        self.pairs.as_ref().map_or(0, |pairs| {
            pairs
                .iter()
                .filter(|(key, pair)| (key.net, key.server) == (net, ip) && pair.is_monitored())
                .count()
        })
    }

    /// Forgets one pair, the first that is not before `from`, if that `matches`.
    fn forget_one(&mut self, from: &Key, matches: impl Fn(&Key) -> bool) -> bool {
        let pairs = self.pairs.as_ref();
        let first = pairs.and_then(|pairs| pairs.cursor_lower_bound(from));
        let found = first
            .map(|cursor| *cursor.current().0)
            .filter(|key| matches(key));
        if let Some(key) = &found {
            self.drop_pair(key);
        }
        found.is_some()
    }
}

/// The state, ready for use.
pub(crate) struct Monitor(());

impl Monitor {
    /// Prepares it.
    ///
    /// # Safety
    ///
    /// Must be called once, before anything else of this file.
    pub(crate) unsafe fn new() -> Self {
        // SAFETY: By the safety requirements.
        unsafe {
            STATE.init();
            nsm::init();
        }
        STATE.lock().pairs = Some(RBTree::new());
        Self(())
    }
}

impl Drop for Monitor {
    /// Hooks and control files are gone.
    fn drop(&mut self) {
        let mut state = STATE.lock();
        let gone = (
            core::mem::take(&mut state.addresses),
            state.pairs.take(),
            core::mem::take(&mut state.count),
        );
        ADDRESSES.store(0, Relaxed);
        drop(state);
        drop(gone);
    }
}

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

/// The record of a client is durable; `ENOENT` if `ip` is no floating address.
pub(crate) fn recorded(net: Net, ip: IpAddr, client: IpAddr) -> Result {
    let key = Key {
        net,
        server: ip,
        client,
    };
    let node = RBTreeNode::new(key, Pair::default(), GFP_KERNEL)?;
    let mut state = STATE.lock();
    if state.address(net, ip).is_none() {
        return Err(ENOENT);
    }
    if state.pair(&key).is_none() {
        if state.count == MAX_PAIRS {
            return Err(ENOSPC);
        }
        if let Some(pairs) = &mut state.pairs {
            pairs.insert(node);
            state.count += 1;
        }
    }
    if let Some(pair) = state.pair(&key) {
        pair.record();
    }
    Ok(())
}

/// Prints the floating addresses of `net`.
pub(crate) fn show(net: Net, text: &mut Text) -> Result {
    let mut at = 0;
    loop {
        let state = STATE.lock();
        let Some(address) = state.addresses.get(at) else {
            return Ok(());
        };
        let (here, ip) = (address.net == net, address.ip);
        let confirm = if address.confirm { "yes" } else { "no" };
        let refused = address.refused;
        let clients = if here { state.clients(net, ip) } else { 0 };
        drop(state);
        if here {
            text.add(format_args!(
                "ip={ip} confirm={confirm} clients={clients} refused={refused}\n"
            ))?;
        }
        at += 1;
    }
}

/// What is to be done when lockd wants a client monitored, or not any more.
pub(crate) enum Plan {
    /// What is done without us.
    Stock,
    /// Nothing.
    Nothing,
    /// Telling statd of the pair.
    Tell(Key),
}

fn key(host: &Host<'_>) -> Option<Key> {
    if ADDRESSES.load(Relaxed) == 0 || !host.is_client() {
        return None;
    }
    Some(Key {
        net: host.net(),
        server: host.server()?,
        client: host.client()?,
    })
}

impl Key {
    /// Not after any pair of that address.
    fn first(net: Net, server: IpAddr) -> Self {
        Self {
            net,
            server,
            client: UNSPECIFIED,
        }
    }

    /// The floating address.
    pub(crate) fn server(&self) -> IpAddr {
        self.server
    }
}

/// `host` is about to get a lock. Does not sleep.
pub(crate) fn arrives(host: &Host<'_>) -> Plan {
    let Some(key) = key(host) else {
        return Plan::Stock;
    };
    let mut state = STATE.lock();
    let Some(address) = state.address(key.net, key.server) else {
        return Plan::Stock;
    };
    let confirm = address.confirm;
    let pair = state.pair(&key);
    if pair.is_some_and(|pair| pair.admits(host.id(), confirm)) {
        Plan::Nothing
    } else {
        Plan::Tell(key)
    }
}

/// statd was told of the pair for a host; returns whether that may get locks. Does not sleep.
pub(crate) fn arrived(key: Key, host: usize) -> bool {
    let mut state = STATE.lock();
    // The address may have become an ordinary one meanwhile.
    let Some(address) = state.address(key.net, key.server) else {
        return true;
    };
    let confirm = address.confirm;
    let admitted = match state.pair_or_new(key, GFP_ATOMIC) {
        Some(pair) => pair.monitored(host, confirm),
        // statd is told every time.
        None => !confirm,
    };
    if let (false, Some(address)) = (admitted, state.address(key.net, key.server)) {
        address.refused += 1;
    }
    admitted
}

/// `host` goes. Does not sleep.
pub(crate) fn leaves(host: &Host<'_>) -> Plan {
    let Some(key) = key(host) else {
        return Plan::Stock;
    };
    let mut state = STATE.lock();
    match state.pair(&key).map(|pair| pair.leave(host.id())) {
        None | Some(Loss::Nothing) => Plan::Stock,
        Some(Loss::Host) => Plan::Nothing,
        Some(Loss::Pair) => {
            state.drop_pair(&key);
            Plan::Tell(key)
        }
    }
}

/// Addresses end with their network namespace.
pub(crate) struct NetExit;

impl OnExit for NetExit {
    fn on_exit(net: Net) {
        let mut state = STATE.lock();
        state.addresses.retain(|address| address.net != net);
        ADDRESSES.store(state.addresses.len(), Relaxed);
        drop(state);
        let first = Key::first(net, UNSPECIFIED);
        while STATE.lock().forget_one(&first, |key| key.net == net) {}
    }
}
