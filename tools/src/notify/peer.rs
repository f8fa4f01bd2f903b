// SPDX-License-Identifier: GPL-2.0-only

//! One client: what it is asked next, and what its answers mean. Sends nothing itself.

use super::report::Client;
use crate::nsm::{
    self,
    Transport, //
};
use crate::rpc::{
    Decoder,
    Refusal, //
};
use std::net::{
    IpAddr,
    SocketAddr, //
};
use std::time::Duration;

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// After so many packets without an answer, statd may have been restarted on another port.
const ASK_AGAIN: u32 = 4;

/// After so many packets without an answer, it is called over TCP: it may be behind a firewall.
const TRY_TCP: u32 = 3;

/// After so many packets without an answer, each is sent from another port.
const CHANGE_PORT: u32 = 2;

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Its address is being looked up.
    Resolving,
    /// Its rpcbind is asked for statd.
    AskPort,
    /// Its statd is told.
    Tell,
    /// It was told by our address; whether we have a name is not known yet.
    AwaitName,
    /// Nothing is left to do.
    Done,
    /// It cannot be told.
    Unreachable,
}

const NO_STATD: &str = "statd is not running";

/// The names that we have: the floating IP, and, once known, its name.
#[derive(Clone, Debug)]
pub struct Names {
    /// The address as text.
    pub ip: String,
    /// [`None`] as long as it is being looked up.
    pub name: Option<Option<String>>,
}

/// What to do after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The next packet.
    Send,
    /// Nothing before its time comes.
    Wait,
}

/// What a call says to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Telling {
    /// How many names of ours it knew before.
    names: u32,
    transport: Transport,
    port: u16,
}

/// One client.
#[derive(Clone, Debug)]
pub struct Peer {
    client: String,
    address: Option<SocketAddr>,
    stage: Stage,
    transport: Transport,
    /// statd's port; 0 as long as it is not known.
    port: u16,
    /// Names of ours under which it was told.
    told: u32,
    xid: u32,
    unsent: bool,
    tries: u32,
    /// Packets since the last progress.
    level: u32,
    turn: usize,
    first_answer: Option<Duration>,
    reason: Option<String>,
}

impl Peer {
    /// A client whose name may be an address.
    pub fn new(client: &str, ip: IpAddr) -> Self {
        let mut peer = Self {
            client: client.into(),
            address: None,
            stage: Stage::Resolving,
            transport: Transport::Udp,
            port: 0,
            told: 0,
            xid: 0,
            unsent: true,
            tries: 0,
            level: 0,
            turn: 0,
            first_answer: None,
            reason: Some("its name is still being looked up".into()),
        };
        if let Ok(address) = client.parse::<IpAddr>() {
            peer.resolved(&[SocketAddr::new(address.to_canonical(), 0)], ip);
        }
        peer
    }

    /// Identifies the call that is under way.
    pub fn xid(&self) -> u32 {
        self.xid
    }

    /// Where it stands.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Whether nothing can be done for it any more.
    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Done | Stage::Unreachable)
    }

    /// Whether it was told and has answered under all names.
    pub fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// How it is called.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// How many ports were tried without an answer: the next packet is sent from another one.
    pub fn turn(&self) -> usize {
        self.turn
    }

    /// What it knows once it answers the call that is under way, if that tells it anything.
    pub fn telling(&self) -> Option<Telling> {
        (self.stage == Stage::Tell).then_some(Telling {
            names: self.told,
            transport: self.transport,
            port: self.port,
        })
    }

    /// Another call is made from now on.
    pub fn begin_call(&mut self, xid: u32) {
        self.xid = xid;
        self.unsent = true;
    }

    /// Whether nothing of the call was sent yet.
    pub fn is_unsent(&self) -> bool {
        self.unsent
    }

    /// Whether a call to it is under way, or due.
    pub fn is_calling(&self) -> bool {
        matches!(self.stage, Stage::AskPort | Stage::Tell)
    }

    /// Whether it should be called over TCP instead.
    pub fn is_silent(&self) -> bool {
        self.transport == Transport::Udp
            && self.is_calling()
            && (self.level >= TRY_TCP || self.reason.as_deref() == Some(NO_STATD))
    }

    /// The next call is made like this. Ports of statd differ, so that is asked for first.
    pub fn call_by(&mut self, transport: Transport) {
        self.transport = transport;
        self.stage = Stage::AskPort;
    }

    /// Whether `from` is its address.
    pub fn is_at(&self, from: SocketAddr) -> bool {
        self.address
            .is_some_and(|address| address.ip() == from.ip())
    }

    /// Its addresses are known.
    pub fn resolved(&mut self, addresses: &[SocketAddr], ip: IpAddr) {
        self.address = addresses
            .iter()
            .copied()
            .find(|address| address.is_ipv4() == ip.is_ipv4());
        (self.stage, self.reason) = match (self.address, addresses) {
            (Some(_), _) => (Stage::AskPort, None),
            (None, []) => (Stage::Unreachable, Some("its name has no address".into())),
            (None, _) => {
                let family = if ip.is_ipv4() { "IPv4" } else { "IPv6" };
                (
                    Stage::Unreachable,
                    Some(format!(
                        "it has no {family} address, and {ip} can reach no other"
                    )),
                )
            }
        };
    }

    /// The packet to send now, and where to.
    pub fn packet(
        &self,
        ip: IpAddr,
        names: &Names,
        state: i32,
        rpcbind: u16,
    ) -> Option<(SocketAddr, Vec<u8>)> {
        let mut to = self.address?;
        let packet = match self.stage {
            Stage::AskPort => {
                to.set_port(rpcbind);
                nsm::getport(self.xid, ip, self.transport)
            }
            Stage::Tell => {
                to.set_port(self.port);
                let name = match (self.told, &names.name) {
                    (0, _) => &names.ip,
                    (_, Some(Some(name))) => name,
                    _ => return None,
                };
                nsm::notify(self.xid, name, state)
            }
            _ => return None,
        };
        Some((to, packet))
    }

    /// A packet was sent, or could not be for `error`. Returns when to send the next one.
    pub fn sent(&mut self, error: Option<String>) -> Duration {
        self.tries += 1;
        self.unsent = false;
        if error.is_some() {
            self.reason = error;
        }
        let pause = self.pause();
        self.level += 1;
        pause
    }

    /// How long to wait for an answer.
    pub fn pause(&self) -> Duration {
        LONGEST_PAUSE.min(FIRST_PAUSE * 2u32.pow(self.level.min(16)))
    }

    /// No answer has come in time. Returns whether another question is asked from now on.
    pub fn timed_out(&mut self) -> bool {
        let silent = match self.stage {
            Stage::AskPort => "rpcbind does not answer",
            _ => "statd does not answer",
        };
        if self.reason.is_none() || self.reason.as_deref() == Some("rpcbind does not answer") {
            self.reason = Some(silent.into());
        }
        if self.level >= CHANGE_PORT {
            self.turn += 1;
        }
        let again = self.stage == Stage::Tell && self.level % ASK_AGAIN == 0;
        if again {
            self.stage = Stage::AskPort;
        }
        again
    }

    /// It answers the call that is under way.
    pub fn answer(
        &mut self,
        results: Result<Decoder<'_>, Refusal>,
        ip: IpAddr,
        names: &Names,
        at: Duration,
    ) -> Next {
        let port = match (self.stage, results) {
            (Stage::AskPort, Ok(results)) => nsm::port(results, ip),
            (Stage::AskPort | Stage::Tell, Err(refusal)) => {
                self.reason = Some(refusal.to_string());
                self.stage = Stage::AskPort;
                return Next::Wait;
            }
            (Stage::Tell, Ok(_)) => return self.was_told(names, at),
            _ => return Next::Wait,
        };
        match port {
            Ok(0) => {
                self.reason = Some(NO_STATD.into());
                Next::Wait
            }
            Ok(port) => {
                // Not if statd was there before and did not answer: it would never have peace.
                if self.port == 0 {
                    self.level = 0;
                }
                self.reason = None;
                self.port = port;
                self.stage = Stage::Tell;
                Next::Send
            }
            Err(_) => {
                self.reason = Some("rpcbind's answer is not understood".into());
                Next::Wait
            }
        }
    }

    /// It answers an earlier call than the one that is under way. It knows all the same.
    pub fn answer_late(&mut self, telling: Telling, names: &Names, at: Duration) -> Next {
        if telling.names != self.told || !self.is_calling() {
            return Next::Wait;
        }
        (self.transport, self.port) = (telling.transport, telling.port);
        self.was_told(names, at)
    }

    fn was_told(&mut self, names: &Names, at: Duration) -> Next {
        self.first_answer.get_or_insert(at);
        self.told += 1;
        self.level = 0;
        self.reason = None;
        self.stage = Stage::AwaitName;
        self.name_known(names)
    }

    /// Goes on once it is known whether we have a name.
    pub fn name_known(&mut self, names: &Names) -> Next {
        if self.stage != Stage::AwaitName {
            return Next::Wait;
        }
        match &names.name {
            None => Next::Wait,
            Some(Some(_)) if self.told == 1 => {
                self.stage = Stage::Tell;
                Next::Send
            }
            Some(_) => {
                self.stage = Stage::Done;
                Next::Wait
            }
        }
    }

    /// For the report.
    pub fn report(self) -> Client {
        Client {
            answered: self.stage == Stage::Done,
            seconds: self.first_answer.map(|at| at.as_secs_f64()),
            tries: self.tries,
            reason: match self.stage {
                Stage::Done => None,
                _ if self.told > 0 => Some("it answers to our address, but not to our name".into()),
                _ => Some(self.reason.unwrap_or_else(|| "it does not answer".into())),
            },
            client: self.client,
        }
    }
}
