// SPDX-License-Identifier: GPL-2.0-only

//! `notify`: tells exactly the recorded clients of a floating IP that their server has restarted,
//! so that they reclaim their locks.

pub mod behind;
pub mod connection;
mod engine;
pub mod peer;
mod report;
mod resolve;
mod sockets;
mod turns;

use crate::config::{
    Config,
    Service, //
};
use crate::connections::tickle::Tickling;
use crate::error::{
    Context,
    Error,
    Result, //
};
use crate::exporttable::Table;
use crate::host::{
    self,
    Host, //
};
use crate::mark;
use crate::nfsd::Nfsd;
use crate::records::Union;
use crate::statedir::StateDir;
use crate::status::line::Line;
use crate::turn;
use crate::udp;
use behind::{
    lack,
    over,
    Filesystem,
    Lack, //
};
use nix::fcntl::Flock;
use sockets::Sockets;
use std::fs::{
    self,
    File, //
};
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
    /// The configuration.
    pub config: &'a Config,
    /// The filesystems behind it. Who is told reclaims on all of them at once.
    pub services: &'a [Service],
    /// Without looking whether they can reclaim.
    pub force: bool,
    /// How to go about it.
    pub how: How,
}

/// Where it is noted that the clients of an address were told, as far as they answered.
pub fn told(host: &Host, ip: IpAddr) -> PathBuf {
    turn::place(host, &format!("told-{ip}"))
}

impl Notify<'_> {
    /// Notifies, and has clients give up their connections to the node before. Nothing was sent if
    /// they cannot reclaim.
    pub fn run(&self) -> Result<Report> {
        let Some(service) = self.services.first() else {
            return Err(Error::new(
                "there is no filesystem whose clients could be told",
            ));
        };
        let report = self.tell(service.ip)?;
        let told = told(self.host, service.ip);
        // Without it, it is believed that nobody was told.
        let _ = told.parent().map(fs::create_dir_all);
        let _ = fs::write(told, "");
        Ok(report)
    }

    fn tell(&self, ip: IpAddr) -> Result<Report> {
        if !self.force {
            self.can_reclaim(ip)?;
        }
        let states: Vec<_> = self
            .services
            .iter()
            .map(|service| StateDir::of(service).if_mounted(self.host))
            .collect();
        let mut report = Report::new(ip);
        let _locks = lock(ip, &states, &mut report)?;
        let clients = Union::read(self.host, self.services)?;
        for garbage in &clients.garbage {
            report.warn(format!("skipped: {garbage}"));
        }
        if !clients.garbage.is_empty() {
            report.lack("records were skipped, whoever they were of was not told");
        }
        let tickling = || Tickling::begin(self.host, ip, self.services);
        if clients.names.is_empty() {
            report.tickled = tickling().end();
            return Ok(report);
        }
        let first_xid = udp::first_xid();
        let mut sockets = self.sockets(ip, first_xid)?;
        // Durable before the first packet: it must not be sent again after a crash.
        let number = self.next_state(&states, &mut report)?;
        report.state = Some(number);
        let over = self.over(ip, &mut report);
        for service in &over {
            report.lack(format!("{} does not recover here any more: what clients had there and have not reclaimed is lost, and may be somebody else's by now", service.path.display()));
        }
        // When nothing can fail any more: who fails tries again, and they must not be tickled as often.
        let tickling = tickling();
        // What one filesystem has lost by then is lost, and those of the others are still to be had.
        let recovers = || self.force || !self.recovering().is_ok_and(|all| all.is_empty());
        engine::run(
            &mut sockets,
            first_xid,
            &self.how,
            &clients.names,
            recovers,
            &mut report,
        );
        report.tickled = tickling.end();
        let mut late = self.over(ip, &mut report);
        late.retain(|service| !over.iter().any(|known| known.path == service.path));
        for service in late {
            report.lack(format!("the recovery of {} was over before all had answered: what others had there is lost, and may be somebody else's by now", service.path.display()));
        }
        Ok(report)
    }

    /// A state number that is new on all filesystems of the address, and is kept there.
    fn next_state(&self, states: &[StateDir], report: &mut Report) -> Result<i32> {
        let next: Vec<_> = states.iter().map(StateDir::next_state).collect();
        let known = next.iter().filter_map(|next| next.as_ref().ok());
        let number = known.map(|next| next.number).max();
        let mut warnings = Vec::new();
        for (state, next) in states.iter().zip(next) {
            match (next, number) {
                (Ok(next), Some(number)) => {
                    warnings.extend(next.warning);
                    if next.number != number {
                        warnings.extend(state.keep_state(number));
                    }
                }
                (Err(error), Some(_)) => report.lack(error.to_string()),
                (Err(error), None) => return Err(error),
                (Ok(_), None) => {}
            }
        }
        warnings.into_iter().for_each(|why| report.warn(why));
        number.ok_or_else(|| Error::new("there is no state number"))
    }

    /// The filesystems on which clients can reclaim.
    fn recovering(&self) -> Result<Vec<&Service>> {
        let nfsd = Nfsd::new(&self.host.nfsd);
        nfsd.check()?;
        let status = nfsd.status()?;
        let recovers = |service: &&Service| {
            status
                .units_of(&service.path, service.fsid, service.ip)
                .any(|unit| unit.recovers())
        };
        Ok(self.services.iter().filter(recovers).collect())
    }

    /// The filesystems on which who is told now cannot get back what it had. That this cannot be seen is
    /// not to be taken for "none".
    fn over(&self, ip: IpAddr, report: &mut Report) -> Vec<&Service> {
        if self.force {
            return Vec::new();
        }
        match self.look(ip) {
            Ok((all, _)) => over(&all).map(|at| &self.services[at]).collect(),
            Err(error) => {
                report.lack(error.to_string());
                Vec::new()
            }
        }
    }

    /// What is known of each filesystem, and whether the address is in `floating_ips`.
    fn look(&self, ip: IpAddr) -> Result<(Vec<Filesystem>, bool)> {
        let nfsd = Nfsd::new(&self.host.nfsd);
        nfsd.check()?;
        let status = nfsd.status()?;
        let (table, floats) = match self.services.len() {
            // Of one alone nothing of this matters.
            1 => (Table::default(), false),
            _ => (
                Table::read(self.host, self.config)?,
                nfsd.has_floating_ips() && nfsd.is_floating(ip)?,
            ),
        };
        let look = |service: &Service| {
            let units = || status.units_of(&service.path, service.fsid, service.ip);
            Filesystem {
                recovers: units().any(Line::recovers),
                is_released: units().any(|unit| unit.get("phase") == Some("released")),
                mark: service.fsid.and_then(|fsid| mark::read(self.host, fsid)),
                is_exported: table.of(&service.path).iter().any(|export| export.listed),
            }
        };
        Ok((self.services.iter().map(look).collect(), floats))
    }

    /// Fails if somebody who is told now would lose locks by it.
    fn can_reclaim(&self, ip: IpAddr) -> Result<()> {
        let (all, floats) = self.look(ip)?;
        let Some((at, lack)) = lack(&all, floats) else {
            return Ok(());
        };
        let path = self.services[at].path.display();
        Err(Error::new(match lack {
            Lack::Recovery => format!("{path} does not recover here: a lock that is reclaimed outside of a recovery is lost for good, so nothing was sent. Run \"nfs-failoverctl takeover\" first (--force sends anyway)"),
            Lack::Export => format!("{path} is not exported here, so clients of {ip} would wait for it with all that they reclaim, and nothing was sent: export it first (--force sends anyway)"),
        }))
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

/// Keeps others from telling the same clients. What cannot be opened keeps nobody of the others from being
/// told, as long as there is one.
fn lock(ip: IpAddr, states: &[StateDir], report: &mut Report) -> Result<Vec<Flock<File>>> {
    let (mut locks, mut failed) = (Vec::new(), Vec::new());
    for state in states {
        match state.lock() {
            Ok(Some(lock)) => locks.push(lock),
            Ok(None) => {
                return Err(Error::new(format!(
                "clients of {ip} are being notified already, by another process that has {} locked",
                state.path().display()
            )))
            }
            Err(error) => failed.push(error),
        }
    }
    if let (Some(error), true) = (failed.first(), locks.is_empty()) {
        return Err(error.clone());
    }
    for error in failed {
        report.lack(error.to_string());
    }
    Ok(locks)
}
