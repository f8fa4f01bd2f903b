// SPDX-License-Identifier: GPL-2.0-only

//! `notify`: tells exactly the recorded clients of a floating IP that their server has restarted,
//! so that they reclaim their locks.

mod engine;
pub mod peer;
mod report;
mod resolve;

use crate::config::Service;
use crate::error::{
    Context,
    Error,
    Result, //
};
use crate::host::{
    self,
    Host, //
};
use crate::nfsd::Nfsd;
use crate::statedir::StateDir;
use crate::syslog;
use crate::udp;
use nix::sys::socket::{
    setsockopt,
    sockopt, //
};
use std::net::{
    IpAddr,
    UdpSocket, //
};
use std::time::Duration;

pub use report::{
    Client,
    Report, //
};

/// Enough for the answers of tens of thousands of clients, and for as many questions that wait
/// until the network knows that a neighbour is dead.
const SOCKET_BUFFER: usize = 16 << 20;

/// How to go about it.
#[derive(Clone, Debug)]
pub struct How {
    /// For how long clients that do not answer are asked.
    pub timeout: Duration,
    /// The port to send from; a reserved one if there is none.
    pub port: Option<u16>,
    /// rpcbind's port on the clients.
    pub rpcbind_port: u16,
    /// Say how far it is.
    pub progress: bool,
}

/// One notification of all clients of a floating IP.
pub struct Notify<'a> {
    /// The machine.
    pub host: &'a Host,
    /// Whose clients.
    pub service: &'a Service,
    /// Without looking whether they can reclaim.
    pub force: bool,
    /// How to go about it.
    pub how: How,
}

impl Notify<'_> {
    /// Notifies. Nothing was sent if this fails.
    pub fn run(&self) -> Result<Report> {
        let ip = self.service.ip;
        if !self.force && !self.recovers()? {
            return Err(Error::new(format!(
                "{} does not recover here: a lock that is reclaimed outside of a recovery is lost for good, so nothing was sent. Run \"nfs-failoverctl takeover\" first (--force sends anyway)",
                self.service.path.display()
            )));
        }
        let state = StateDir::new(&self.service.state_dir(), ip);
        let _lock = state.lock()?;
        let clients = state.clients()?;
        let mut report = Report::new(ip);
        report.warnings = clients
            .garbage
            .iter()
            .map(|garbage| format!("skipped: {garbage}"))
            .collect();
        if clients.names.is_empty() {
            return Ok(report);
        }
        let socket = self.socket(ip)?;
        // Durable before the first packet: it must not be sent again after a crash.
        let next = state.next_state()?;
        report.state = Some(next.number);
        report.warnings.extend(next.warning);
        for warning in &report.warnings {
            syslog::error(&format!("nfs-failoverctl: {warning}"));
        }
        let recovers = || self.force || self.recovers().unwrap_or(true);
        engine::run(&socket, &self.how, &clients.names, recovers, &mut report);
        Ok(report)
    }

    fn recovers(&self) -> Result<bool> {
        let nfsd = Nfsd::new(&self.host.nfsd);
        nfsd.check()?;
        let status = nfsd.status()?;
        let service = self.service;
        let recovers = status
            .units_of(&service.path, service.fsid, service.ip)
            .any(|unit| unit.recovers());
        Ok(recovers)
    }

    fn socket(&self, ip: IpAddr) -> Result<UdpSocket> {
        if !host::is_local(ip)? {
            return Err(Error::new(format!(
                "{ip} is not an address of this node, so nothing was sent: clients believe only what comes from there. Bring it up, or run this on the node that has it"
            )));
        }
        let socket = match self.how.port {
            Some(port) => UdpSocket::bind((ip, port)),
            None => udp::reserved(ip),
        };
        let socket = socket.context(|| format!("cannot send from {ip}"))?;
        socket
            .set_nonblocking(true)
            .context(|| "cannot set up a socket".into())?;
        // What the administrator allows is better than nothing.
        if setsockopt(&socket, sockopt::RcvBufForce, &SOCKET_BUFFER).is_err() {
            let _ = setsockopt(&socket, sockopt::RcvBuf, &SOCKET_BUFFER);
        }
        if setsockopt(&socket, sockopt::SndBufForce, &SOCKET_BUFFER).is_err() {
            let _ = setsockopt(&socket, sockopt::SndBuf, &SOCKET_BUFFER);
        }
        Ok(socket)
    }
}
