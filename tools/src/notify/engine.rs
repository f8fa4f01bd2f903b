// SPDX-License-Identifier: GPL-2.0-only

//! One thread that tells all clients at once: it waits for nothing but the next event.

use super::connection::{
    Connection,
    Progress, //
};
use super::peer::{
    Names,
    Next,
    Peer,
    Stage, //
};
use super::report::Report;
use super::resolve;
use super::sockets::Sockets;
use super::turns::{
    Calls,
    Turns, //
};
use super::How;
use crate::error::text;
use crate::nsm::Transport;
use crate::ports;
use crate::rpc::Reply;
use crate::signals;
use crate::syslog;
use nix::errno::Errno;
use nix::poll::{
    poll,
    PollFd,
    PollFlags,
    PollTimeout, //
};
use std::io;
use std::net::{
    IpAddr,
    SocketAddr, //
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

/// TCP connections at a time.
const CONNECTIONS: usize = 256;

/// How long a name server may take to tell our own name.
const NAME_PATIENCE: Duration = Duration::from_secs(2);

/// How long to hold back when the kernel has no room for packets.
const FULL: Duration = Duration::from_millis(20);

/// By then everybody was asked, by TCP, too. Whoever wants us to end has to wait for that.
const ALL_ASKED: Duration = Duration::from_secs(5);

/// How often to look whether clients can still reclaim.
const LOOK: Duration = Duration::from_secs(2);

/// Tells all clients; the results are in `report`. `first_xid` is what `sockets` were made with.
pub fn run(
    sockets: &mut Sockets,
    first_xid: u32,
    how: &How,
    clients: &[String],
    recovers: impl Fn() -> bool,
    report: &mut Report,
) {
    let mut engine = Engine::new(sockets, first_xid, how, clients, report);
    report.ended = engine.run(recovers);
    report.seconds = engine.start.elapsed().as_secs_f64();
    report.clients = engine.peers.into_iter().map(Peer::report).collect();
}

/// A call over TCP.
struct Call {
    at: usize,
    xid: u32,
    /// When to call by UDP, if it fails.
    due: Instant,
    connection: Connection,
}

struct Engine<'a> {
    sockets: &'a mut Sockets,
    connections: Vec<Call>,
    how: &'a How,
    ip: IpAddr,
    state: i32,
    names: Names,
    peers: Vec<Peer>,
    calls: Calls,
    turns: Turns,
    tokens: f64,
    filled: Instant,
    full_until: Instant,
    start: Instant,
    found: Receiver<(usize, Vec<SocketAddr>)>,
    name_found: Receiver<Option<String>>,
}

impl<'a> Engine<'a> {
    fn new(
        sockets: &'a mut Sockets,
        first_xid: u32,
        how: &'a How,
        clients: &[String],
        report: &Report,
    ) -> Self {
        let ip = report.ip;
        let peers: Vec<_> = clients.iter().map(|client| Peer::new(client, ip)).collect();
        let mut turns = Turns::new(peers.len());
        let mut unknown = Vec::new();
        for (at, peer) in peers.iter().enumerate() {
            match peer.stage() {
                Stage::AskPort => turns.first(at),
                Stage::Resolving => unknown.push((at, clients[at].clone())),
                _ => {}
            }
        }
        let now = Instant::now();
        Self {
            sockets,
            connections: Vec::new(),
            how,
            ip,
            state: report.state.unwrap_or(1),
            names: Names {
                ip: ip.to_string(),
                name: None,
            },
            peers,
            calls: Calls::new(first_xid),
            turns,
            tokens: BURST,
            filled: now,
            full_until: now,
            start: now,
            found: resolve::addresses(unknown),
            name_found: resolve::name(ip),
        }
    }

    /// Returns why it ended before all had answered. However much comes in, a round is short.
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
            if now >= self.start + ALL_ASKED {
                let came = signals::came().join(" and ");
                if !came.is_empty() {
                    return Some(format!("{came} came"));
                }
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
            let ready = self.wait();
            self.receive();
            self.connected(&ready);
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
                self.turns.first(at);
            }
        }
        if self.names.name.is_none() {
            let found = self.name_found.try_recv().ok();
            self.names.name = found.or((now >= self.start + NAME_PATIENCE).then_some(None));
            if self.names.name.is_some() {
                for at in 0..self.peers.len() {
                    let next = self.peers[at].name_known(&self.names);
                    self.go_on(at, next);
                }
            }
        }
    }

    /// Whether there may be another connection.
    fn has_room(&self) -> bool {
        self.connections.len() < CONNECTIONS
    }

    fn send(&mut self, now: Instant) {
        let earned = now.duration_since(self.filled).as_secs_f64() * RATE;
        self.tokens = (self.tokens + earned).min(BURST);
        self.filled = now;
        while self.tokens >= 1.0 && now >= self.full_until {
            let room = self.has_room();
            let next = self.turns.next(&mut self.peers, &mut self.calls, now, room);
            let Some(at) = next else { return };
            let peer = &mut self.peers[at];
            let rpcbind = self.how.rpcbind_port;
            let Some((to, packet)) = peer.packet(self.ip, &self.names, self.state, rpcbind) else {
                continue;
            };
            if peer.transport() == Transport::Tcp {
                if room {
                    self.tokens -= 1.0;
                    self.connect(at, to, &packet, now);
                } else {
                    self.turns.over_tcp(at);
                }
                continue;
            }
            let error = match self.sockets.send(peer.turn(), &packet, to) {
                Ok(_) => None,
                Err(error) if is_full(&error) => {
                    self.turns.again(at);
                    self.full_until = now + FULL;
                    return;
                }
                Err(error) => Some(text(&error)),
            };
            self.tokens -= 1.0;
            let due = now + peer.sent(error);
            self.turns.later(at, peer.xid(), due);
        }
    }

    fn connect(&mut self, at: usize, to: SocketAddr, packet: &[u8], now: Instant) {
        let xid = self.peers[at].xid();
        let connection = match self.how.port {
            Some(port) => Connection::new(self.ip, std::iter::once(port), to, packet, now),
            None => Connection::new(self.ip, ports::reserved(), to, packet, now),
        };
        let due = now + self.peers[at].sent(None);
        match connection {
            Ok(connection) => self.connections.push(Call {
                at,
                xid,
                due,
                connection,
            }),
            Err(_) => self.failed(at, due),
        }
    }

    /// A call over TCP was not answered: UDP is next, when its time has come.
    fn failed(&mut self, at: usize, due: Instant) {
        if self.peers[at].is_calling() && self.peers[at].transport() == Transport::Tcp {
            self.peers[at].call_by(Transport::Udp);
            self.calls.make(&mut self.peers, at);
            self.turns.later(at, self.peers[at].xid(), due);
        }
    }

    /// Until something is received or there is something to send. Returns which connections have
    /// something to do.
    fn wait(&self) -> Vec<bool> {
        let now = Instant::now();
        // Look-ups do not wake us.
        let look_up = self.names.name.is_none()
            || self
                .peers
                .iter()
                .any(|peer| peer.stage() == Stage::Resolving);
        let longest = now + Duration::from_millis(if look_up { 20 } else { 500 });
        let due = self.turns.due(now, self.has_room()).unwrap_or(longest);
        let deadlines = self
            .connections
            .iter()
            .map(|call| call.connection.deadline());
        let until = deadlines
            .fold(longest, Instant::min)
            .min(due.max(self.full_until));
        let mut pause = until.saturating_duration_since(now);
        if self.tokens < 1.0 {
            pause = pause.max(Duration::from_millis(5));
        }
        let pause = PollTimeout::from((pause.as_micros().div_ceil(1000)).min(500) as u16);
        let sockets = self.sockets.all().iter();
        let sockets = sockets.map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN));
        let connections = self
            .connections
            .iter()
            .map(|call| PollFd::new(call.connection.fd(), call.connection.wants()));
        let mut all: Vec<_> = sockets.chain(connections).collect();
        // Interrupted or not, the loop goes round.
        let _ = poll(&mut all, pause);
        let connections = &all[self.sockets.all().len()..];
        connections
            .iter()
            .map(|fd| fd.any().unwrap_or(true))
            .collect()
    }

    fn receive(&mut self) {
        let mut came = Vec::new();
        self.sockets
            .receive(|datagram, from| came.push((datagram.to_vec(), from)));
        for (datagram, from) in came {
            self.received(&datagram, from);
        }
    }

    fn received(&mut self, datagram: &[u8], from: SocketAddr) {
        let Ok(reply) = Reply::parse(datagram) else {
            return;
        };
        let Some((at, telling)) = self.calls.find(reply.xid) else {
            return;
        };
        // Somebody's who guesses.
        if !self.peers[at].is_at(from) {
            return;
        }
        if reply.xid == self.peers[at].xid() {
            self.answered(at, reply);
        } else if let (Some(telling), Ok(_)) = (telling, reply.results) {
            let elapsed = self.start.elapsed();
            let next = self.peers[at].answer_late(telling, &self.names, elapsed);
            self.go_on(at, next);
        }
    }

    /// The call that is under way is answered.
    fn answered(&mut self, at: usize, reply: Reply<'_>) {
        let peer = &mut self.peers[at];
        let before = peer.stage();
        let next = peer.answer(reply.results, self.ip, &self.names, self.start.elapsed());
        let due = Instant::now() + peer.pause();
        if next == Next::Send {
            self.go_on(at, next);
        } else if peer.transport() == Transport::Tcp {
            self.failed(at, due);
        } else if before == Stage::Tell && peer.stage() == Stage::AskPort {
            // Refused. It is asked for the port next, when its time has come.
            self.calls.make(&mut self.peers, at);
            self.turns.later(at, self.peers[at].xid(), due);
        } else if peer.is_silent() {
            self.turns.over_tcp(at);
        }
    }

    fn go_on(&mut self, at: usize, next: Next) {
        if next == Next::Send {
            self.calls.make(&mut self.peers, at);
            self.turns.at_once(at);
        }
    }

    /// Goes on with the connections that have something to do, or whose time is up.
    fn connected(&mut self, ready: &[bool]) {
        let now = Instant::now();
        let mut calls = std::mem::take(&mut self.connections);
        for (number, mut call) in calls.drain(..).enumerate() {
            let at = call.at;
            if self.peers[at].is_over() || self.peers[at].xid() != call.xid {
                // It has answered by UDP.
                continue;
            }
            if !ready.get(number).unwrap_or(&true) && now < call.connection.deadline() {
                self.connections.push(call);
                continue;
            }
            match call.connection.go_on(now) {
                Progress::Waiting => self.connections.push(call),
                Progress::Failed => self.failed(at, call.due),
                Progress::Answered(record) => match Reply::parse(&record) {
                    Ok(reply) if reply.xid == call.xid => self.answered(at, reply),
                    _ => self.failed(at, call.due),
                },
            }
        }
    }
}

/// Packets to neighbours that are being looked for fill the buffers.
fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(Errno::ENOBUFS as i32)
}
