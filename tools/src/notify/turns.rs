// SPDX-License-Identifier: GPL-2.0-only

//! Whose turn it is to be called.

use super::peer::{
    Peer,
    Telling, //
};
use crate::nsm::Transport;
use std::cmp::Reverse;
use std::collections::{
    BinaryHeap,
    VecDeque, //
};
use std::time::Instant;

/// The calls that were made.
pub struct Calls {
    first_xid: u32,
    /// Whom each was made to, and what it said.
    made: Vec<(usize, Option<Telling>)>,
}

impl Calls {
    /// None yet.
    pub fn new(first_xid: u32) -> Self {
        Self {
            first_xid,
            made: Vec::new(),
        }
    }

    /// Another call to this peer from now on.
    pub fn make(&mut self, peers: &mut [Peer], at: usize) {
        let xid = self.first_xid.wrapping_add(self.made.len() as u32);
        peers[at].begin_call(xid);
        self.made.push((at, peers[at].telling()));
    }

    /// The call that an answer belongs to.
    pub fn find(&self, xid: u32) -> Option<(usize, Option<Telling>)> {
        let call = xid.wrapping_sub(self.first_xid) as usize;
        self.made.get(call).copied()
    }
}

/// Who waits for its turn.
pub struct Turns {
    /// To be called at once, because the call before was answered.
    urgent: VecDeque<usize>,
    /// These were not called yet: they come before those that do not answer.
    fresh: VecDeque<usize>,
    /// To be called over TCP, when there are fewer connections.
    tcp: VecDeque<usize>,
    /// Who is in `tcp`.
    waits: Vec<bool>,
    /// When to call again, the call that this is about, and the peer.
    later: BinaryHeap<Reverse<(Instant, u32, usize)>>,
}

impl Turns {
    /// Nobody of so many.
    pub fn new(peers: usize) -> Self {
        Self {
            urgent: VecDeque::new(),
            fresh: VecDeque::new(),
            tcp: VecDeque::new(),
            waits: vec![false; peers],
            later: BinaryHeap::new(),
        }
    }

    /// The next call is due.
    pub fn at_once(&mut self, at: usize) {
        self.urgent.push_back(at);
    }

    /// It could not be called for want of room: nobody goes before it.
    pub fn again(&mut self, at: usize) {
        self.urgent.push_front(at);
    }

    /// It was not called yet.
    pub fn first(&mut self, at: usize) {
        self.fresh.push_back(at);
    }

    /// Its call is due then, unless another one has been begun.
    pub fn later(&mut self, at: usize, xid: u32, due: Instant) {
        self.later.push(Reverse((due, xid, at)));
    }

    /// It is to be called over TCP.
    pub fn over_tcp(&mut self, at: usize) {
        if !std::mem::replace(&mut self.waits[at], true) {
            self.tcp.push_back(at);
        }
    }

    /// When the next one is due; [`None`] if that is known by events only.
    pub fn due(&self, now: Instant, room: bool) -> Option<Instant> {
        let at_once =
            !self.urgent.is_empty() || !self.fresh.is_empty() || room && !self.tcp.is_empty();
        let later = || self.later.peek().map(|Reverse((due, ..))| *due);
        at_once.then_some(now).or_else(later)
    }

    /// Whose turn it is. `room` says whether there may be another connection.
    pub fn next(
        &mut self,
        peers: &mut [Peer],
        calls: &mut Calls,
        now: Instant,
        room: bool,
    ) -> Option<usize> {
        if let Some(at) = self.urgent.pop_front() {
            return Some(at);
        }
        if let Some(at) = self.fresh.pop_front() {
            calls.make(peers, at);
            return Some(at);
        }
        while let Some(at) = room.then(|| self.tcp.pop_front()).flatten() {
            self.waits[at] = false;
            // It may have answered meanwhile.
            if peers[at].is_silent() {
                by_tcp(peers, calls, at);
                return Some(at);
            }
            if peers[at].is_calling() && peers[at].transport() == Transport::Tcp {
                return Some(at);
            }
        }
        while let Some(&Reverse((due, xid, at))) = self.later.peek() {
            if due > now {
                return None;
            }
            self.later.pop();
            let peer = &mut peers[at];
            if !peer.is_calling() || peer.xid() != xid {
                continue;
            }
            if peer.is_unsent() {
                return Some(at);
            }
            if peer.timed_out() {
                calls.make(peers, at);
            }
            if peers[at].is_silent() {
                if room {
                    by_tcp(peers, calls, at);
                } else {
                    self.over_tcp(at);
                }
            }
            return Some(at);
        }
        None
    }
}

fn by_tcp(peers: &mut [Peer], calls: &mut Calls, at: usize) {
    peers[at].call_by(Transport::Tcp);
    calls.make(peers, at);
}
