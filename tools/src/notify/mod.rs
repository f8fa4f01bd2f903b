// SPDX-License-Identifier: GPL-2.0-only

//! `notify`: tells exactly the recorded clients of a floating IP that their server has restarted,
//! so that they reclaim their locks.

pub mod connection;
mod engine;
pub mod peer;
mod report;
mod resolve;
mod sockets;
mod turns;

use crate::config::Service;
use crate::connections::tickle::Tickling;
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
use crate::turn;
use crate::udp;
use sockets::Sockets;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use report::{
    Client,
    Report, //
};

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

/// Where it is noted that the clients of an address were told, as far as they answered.
pub fn mark(host: &Host, ip: IpAddr) -> PathBuf {
    turn::place(host, &format!("told-{ip}"))
}

impl Notify<'_> {
    /// Notifies, and has clients give up their connections to the node before. Nothing was sent if
    /// they cannot reclaim.
    pub fn run(&self) -> Result<Report> {
        let report = self.tell()?;
        let mark = mark(self.host, self.service.ip);
        // Without it, it is believed that nobody was told.
        let _ = mark.parent().map(fs::create_dir_all);
        let _ = fs::write(mark, "");
        Ok(report)
    }

    fn tell(&self) -> Result<Report> {
        let ip = self.service.ip;
        if !self.force && !self.recovers()? {
            return Err(Error::new(format!(
                "{} does not recover here: a lock that is reclaimed outside of a recovery is lost for good, so nothing was sent. Run \"nfs-failoverctl takeover\" first (--force sends anyway)",
                self.service.path.display()
            )));
        }
        let state = StateDir::of(self.service).if_mounted(self.host);
        let _lock = state.lock()?;
        let clients = state.clients()?;
        let mut report = Report::new(ip);
        report.warnings = clients
            .garbage
            .iter()
            .map(|garbage| format!("skipped: {garbage}"))
            .collect();
        report.complete = clients.garbage.is_empty();
        for warning in &report.warnings {
            syslog::error(&format!("nfs-failoverctl: {warning}"));
        }
        let tickling = || Tickling::begin(self.host, self.service);
        if clients.names.is_empty() {
            report.tickled = tickling().end();
            return Ok(report);
        }
        let first_xid = udp::first_xid();
        let mut sockets = self.sockets(ip, first_xid)?;
        // Durable before the first packet: it must not be sent again after a crash.
        let next = state.next_state()?;
        report.state = Some(next.number);
        if let Some(warning) = next.warning {
            syslog::error(&format!("nfs-failoverctl: {warning}"));
            report.warnings.push(warning);
        }
        // When nothing can fail any more: who fails tries again, and they must not be tickled as often.
        let tickling = tickling();
        let recovers = || self.force || self.recovers().unwrap_or(true);
        engine::run(
            &mut sockets,
            first_xid,
            &self.how,
            &clients.names,
            recovers,
            &mut report,
        );
        report.tickled = tickling.end();
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

    fn sockets(&self, ip: IpAddr, first_xid: u32) -> Result<Sockets> {
        if !host::is_local(ip)? {
            return Err(Error::new(format!(
                "{ip} is not an address of this node, so nothing was sent: clients believe only what comes from there. Bring it up, or run this on the node that has it"
            )));
        }
        Sockets::new(ip, self.how.port, first_xid).context(|| format!("cannot send from {ip}"))
    }
}
