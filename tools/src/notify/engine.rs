// SPDX-License-Identifier: GPL-2.0-only

//! One thread, one socket, all clients at once.

use super::peer::{
    Names,
    Next,
    Peer,
    Stage, //
};
use super::report::Report;
use super::resolve;
use super::How;
use crate::error::text;
use crate::rpc::Reply;
use crate::syslog;
use crate::udp;
use nix::errno::Errno;
use nix::poll::{
    poll,
    PollFd,
    PollFlags,
    PollTimeout, //
};
use std::cmp::Reverse;
use std::collections::{
    BinaryHeap,
    VecDeque, //
};
use std::io;
use std::net::{
    IpAddr,
    SocketAddr,
    UdpSocket, //
};
use std::os::fd::AsFd;
use std::sync::mpsc::Receiver;
use std::time::{
    Duration,
    Instant, //
};

/// Packets a second: 2,000 clients are all asked within a second, and nobody drops them.
const RATE: f64 = 2000.0;

/// Packets at once.
const BURST: f64 = 50.0;

/// How long a name server may take to tell our own name.
const NAME_PATIENCE: Duration = Duration::from_secs(2);

/// How long to hold back when the kernel has no room for packets.
const FULL: Duration = Duration::from_millis(20);

/// How often to look whether clients can still reclaim.
const LOOK: Duration = Duration::from_secs(2);

/// Tells all clients; the results are in `report`.
pub fn run(
    socket: &UdpSocket,
    how: &How,
    clients: &[String],
    recovers: impl Fn() -> bool,
    report: &mut Report,
) {
    let mut engine = Engine::new(socket, how, clients, report.ip, report.state.unwrap_or(1));
    report.ended = engine.run(recovers);
    report.seconds = engine.start.elapsed().as_secs_f64();
    report.clients = engine.peers.into_iter().map(Peer::report).collect();
}

struct Engine<'a> {
    socket: &'a UdpSocket,
    how: &'a How,
    ip: IpAddr,
    state: i32,
    names: Names,
    peers: Vec<Peer>,
    /// To be sent at once, because the one before was answered.
    urgent: VecDeque<usize>,
    /// Nothing was sent to these yet: they come before those that do not answer.
    fresh: VecDeque<usize>,
    /// When to send again, the packet that this is about, and the client.
    later: BinaryHeap<Reverse<(Instant, u32, usize)>>,
    /// Whom a call was made to, by its xid counted from the first.
    calls: Vec<usize>,
    first_xid: u32,
    tokens: f64,
    filled: Instant,
    full_until: Instant,
    start: Instant,
    found: Receiver<(usize, Vec<SocketAddr>)>,
    name_found: Receiver<Option<String>>,
}

impl<'a> Engine<'a> {
    fn new(
        socket: &'a UdpSocket,
        how: &'a How,
        clients: &[String],
        ip: IpAddr,
        state: i32,
    ) -> Self {
        let peers: Vec<_> = clients.iter().map(|client| Peer::new(client, ip)).collect();
        let fresh = peers
            .iter()
            .enumerate()
            .filter(|(_, peer)| peer.stage() == Stage::AskPort);
        let fresh = fresh.map(|(at, _)| at).collect();
        let unknown = peers
            .iter()
            .enumerate()
            .filter(|(_, peer)| peer.stage() == Stage::Resolving);
        let unknown = unknown.map(|(at, _)| (at, clients[at].clone())).collect();
        let now = Instant::now();
        Self {
            socket,
            how,
            ip,
            state,
            names: Names {
                ip: ip.to_string(),
                name: None,
            },
            peers,
            urgent: VecDeque::new(),
            fresh,
            later: BinaryHeap::new(),
            calls: Vec::new(),
            first_xid: udp::first_xid(),
            tokens: BURST,
            filled: now,
            full_until: now,
            start: now,
            found: resolve::addresses(unknown),
            name_found: resolve::name(ip),
        }
    }

    /// Returns why it ended before all had answered.
    fn run(&mut self, recovers: impl Fn() -> bool) -> Option<String> {
        let (mut looked, mut said) = (self.start, self.start);
        loop {
            let now = Instant::now();
            self.look_ups(now);
            let open = self.peers.iter().filter(|peer| !peer.is_over()).count();
            if open == 0 {
                return None;
            }
            if now >= self.start + self.how.timeout {
                return Some("time is up".into());
            }
            if now >= looked + LOOK {
                looked = now;
                if !recovers() {
                    return Some(
                        "the recovery is over: they would lose their locks for good".into(),
                    );
                }
            }
            if now >= said + Duration::from_secs(1) {
                said = now;
                self.say(open);
            }
            self.send(now);
            self.wait();
            self.receive();
        }
    }

    fn say(&self, open: usize) {
        if self.how.progress {
            let answered = self.peers.iter().filter(|peer| peer.is_done()).count();
            let seconds = self.start.elapsed().as_secs();
            let all = self.peers.len();
            syslog::error(&format!(
                "notify: {answered} of {all} answered, {open} to go, {seconds} s"
            ));
        }
    }

    /// Takes what was found out about names.
    fn look_ups(&mut self, now: Instant) {
        while let Ok((at, addresses)) = self.found.try_recv() {
            self.peers[at].resolved(&addresses, self.ip);
            if !self.peers[at].is_over() {
                self.fresh.push_back(at);
            }
        }
        if self.names.name.is_none() {
            let found = self.name_found.try_recv().ok();
            self.names.name = found.or((now >= self.start + NAME_PATIENCE).then_some(None));
            if self.names.name.is_some() {
                for at in 0..self.peers.len() {
                    if self.peers[at].name_known(&self.names) == Next::Send {
                        self.new_call(at);
                        self.urgent.push_back(at);
                    }
                }
            }
        }
    }

    fn new_call(&mut self, at: usize) {
        self.peers[at].xid = self.first_xid.wrapping_add(self.calls.len() as u32);
        self.calls.push(at);
    }

    fn next(&mut self, now: Instant) -> Option<usize> {
        if let Some(at) = self.urgent.pop_front() {
            return Some(at);
        }
        if let Some(at) = self.fresh.pop_front() {
            if self.peers[at].xid == 0 {
                self.new_call(at);
            }
            return Some(at);
        }
        while let Some(&Reverse((due, xid, at))) = self.later.peek() {
            if due > now {
                return None;
            }
            self.later.pop();
            let peer = &mut self.peers[at];
            if peer.is_over() || peer.stage() == Stage::AwaitName || peer.xid != xid {
                continue;
            }
            if peer.timed_out() {
                self.new_call(at);
            }
            return Some(at);
        }
        None
    }

    fn send(&mut self, now: Instant) {
        let earned = now.duration_since(self.filled).as_secs_f64() * RATE;
        self.tokens = (self.tokens + earned).min(BURST);
        self.filled = now;
        while self.tokens >= 1.0 && now >= self.full_until {
            let Some(at) = self.next(now) else { return };
            let how = self.how.rpcbind_port;
            let Some((to, packet)) = self.peers[at].packet(self.ip, &self.names, self.state, how)
            else {
                continue;
            };
            let error = match self.socket.send_to(&packet, to) {
                Ok(_) => None,
                Err(error) if is_full(&error) => {
                    self.urgent.push_front(at);
                    self.full_until = now + FULL;
                    return;
                }
                Err(error) => Some(text(&error)),
            };
            self.tokens -= 1.0;
            let pause = self.peers[at].sent(error);
            self.later
                .push(Reverse((now + pause, self.peers[at].xid, at)));
        }
    }

    /// Until something is received or there is something to send.
    fn wait(&self) {
        let now = Instant::now();
        let waiting = !self.urgent.is_empty() || !self.fresh.is_empty();
        let due = self.later.peek().map(|Reverse((due, ..))| *due);
        let until = if waiting {
            now.max(self.full_until)
        } else {
            // Look-ups do not wake us.
            let look_up = self.names.name.is_none()
                || self
                    .peers
                    .iter()
                    .any(|peer| peer.stage() == Stage::Resolving);
            let longest = Duration::from_millis(if look_up { 20 } else { 500 });
            due.unwrap_or(now + longest)
                .clamp(now, now + longest)
                .max(self.full_until)
        };
        let mut pause = until.saturating_duration_since(now);
        if self.tokens < 1.0 {
            pause = pause.max(Duration::from_millis(5));
        }
        let pause = PollTimeout::from((pause.as_micros().div_ceil(1000)).min(500) as u16);
        let mut socket = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        // Interrupted or not, the loop goes round.
        let _ = poll(&mut socket, pause);
    }

    /// All that has come: what is left lying would be thrown away when the buffer is full.
    fn receive(&mut self) {
        let mut buffer = [0; 2048];
        loop {
            match self.socket.recv_from(&mut buffer) {
                Ok((length, from)) => self.received(&buffer[..length], from),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // An error of an earlier packet.
                Err(_) => {}
            }
        }
    }

    fn received(&mut self, datagram: &[u8], from: SocketAddr) {
        let Ok(reply) = Reply::parse(datagram) else {
            return;
        };
        let call = reply.xid.wrapping_sub(self.first_xid) as usize;
        let Some(&at) = self.calls.get(call) else {
            return;
        };
        let peer = &mut self.peers[at];
        // An answer to an earlier question, or somebody's who guesses.
        if peer.xid != reply.xid || !peer.is_at(from) {
            return;
        }
        let before = peer.stage();
        let next = peer.answer(reply.results, self.ip, &self.names, self.start.elapsed());
        if next == Next::Send {
            self.new_call(at);
            self.urgent.push_back(at);
        } else if before == Stage::Tell && self.peers[at].stage() == Stage::AskPort {
            // Refused. It is asked for the port next, when its time has come.
            self.new_call(at);
            let due = Instant::now() + self.peers[at].pause();
            self.later.push(Reverse((due, self.peers[at].xid, at)));
        }
    }
}

/// Packets to neighbours that are being looked for fill the buffers.
fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(Errno::ENOBUFS as i32)
}
