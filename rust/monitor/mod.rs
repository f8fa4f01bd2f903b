// SPDX-License-Identifier: GPL-2.0-only

//! Floating addresses, and the clients that statd was told of for each.
//!
//! Guarded by one spinlock, which hooks take, too: nothing sleeps under it, and what is freed or
//! allocated beneath it is small. While there is no floating address, hooks do not take it.

pub(crate) mod control;

use crate::{
    policy::pair::{
        Loss,
        Pair, //
    },
    sys::{
        lockd::{
            host::Host,
            nsm, //
        },
        net::{
            Net,
            OnExit, //
        },
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
        RBTreeNodeReservation, //
    },
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
};

/// Maximum number of pairs of a client and an address, of all namespaces.
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
    /// Records that were lost.
    lost: u64,
    /// The last release in which locks of its clients may have been taken away.
    release: u64,
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
    /// How many releases there were.
    releases: u64,
}

kernel::sync::global_lock! {
    // SAFETY: Initialised in `Monitor::new` before anything can reach it.
    unsafe(uninit) static STATE: SpinLock<State> = State {
        addresses: KVec::new(),
        pairs: None,
        count: 0,
        releases: 0,
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
            let pair = Pair::since(self.releases);
            let pairs = self.pairs.as_mut()?;
            pairs.try_create_and_insert(key, pair, flags).ok()?;
            self.count += 1;
        }
        self.pair(&key)
    }

    /// Takes in a new pair.
    fn insert(&mut self, key: Key, room: RBTreeNodeReservation<Key, Pair>) -> Result {
        if self.count == MAX_PAIRS {
            return Err(ENOSPC);
        }
        if let Some(pairs) = &mut self.pairs {
            pairs.insert(room.into_node(key, Pair::since(self.releases)));
            self.count += 1;
        }
        Ok(())
    }

    fn drop_pair(&mut self, key: &Key) {
        let removed = self.pairs.as_mut().and_then(|pairs| pairs.remove(key));
        self.count -= usize::from(removed.is_some());
    }

    /// The first pair of the address that is not before `from`, or that is behind `after`.
    fn next(&self, from: &Key, after: bool) -> Option<(Key, Pair)> {
        let cursor = self.pairs.as_ref()?.cursor_lower_bound(from)?;
        let next = match after && cursor.current().0 == from {
            true => cursor.peek_next(),
            false => Some(cursor.current()),
        };
        next.map(|(key, pair)| (*key, *pair))
            .filter(|(key, _)| (key.net, key.server) == (from.net, from.server))
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

/// Whether `ip` is a floating address of `net`. Does not sleep.
pub(crate) fn is_floating(net: Net, ip: IpAddr) -> bool {
    ADDRESSES.load(Relaxed) != 0 && STATE.lock().address(net, ip).is_some()
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

/// `host` goes, because lockd is done with it or is stopped. Does not sleep.
pub(crate) fn leaves(host: &Host<'_>, stopped: bool) -> Plan {
    let Some(key) = key(host) else {
        return Plan::Stock;
    };
    let mut state = STATE.lock();
    let release = state
        .address(key.net, key.server)
        .map_or(0, |address| address.release);
    let Some(pair) = state.pair(&key) else {
        return Plan::Stock;
    };
    match pair.leave(host.id()) {
        Loss::Nothing => Plan::Stock,
        Loss::Host => Plan::Nothing,
        Loss::Pair => {
            if pair.may_believe(stopped, release) {
                pair.unmonitored();
            } else {
                state.drop_pair(&key);
            }
            Plan::Tell(key)
        }
    }
}

/// Locks of clients in `net` were taken away: whoever had some has to be told to reclaim. Does
/// not sleep.
pub(crate) fn released(net: Net) {
    if ADDRESSES.load(Relaxed) == 0 {
        return;
    }
    let mut guard = STATE.lock();
    let state = &mut *guard;
    state.releases += 1;
    let addresses = state.addresses.iter_mut();
    for address in addresses.filter(|address| address.net == net) {
        address.release = state.releases;
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
