// SPDX-License-Identifier: GPL-2.0-only

//! Clients are told when the address is up, and as long as they can reclaim.

use super::super::moves::how;
use super::Resource;
use crate::cli::Ports;
use crate::config::Service;
use crate::error::{
    Error,
    Result, //
};
use crate::group;
use crate::host;
use crate::nfsd::Nfsd;
use crate::notify::Notify;
use crate::ocf::{
    notifier,
    Answer,
    Code, //
};
use crate::signals;
use crate::syslog::{
    say,
    Level, //
};
use std::thread::sleep;
use std::time::{
    Duration,
    Instant, //
};

const PAUSE: Duration = Duration::from_millis(100);

/// The time until what has failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// How long it may not be seen whether clients can reclaim.
const BLIND: Duration = Duration::from_secs(60);

impl Resource<'_> {
    pub(super) fn notify(&self, wait: bool) -> Result<Answer> {
        if wait {
            return self.wait_and_notify();
        }
        let mut trouble = Vec::new();
        for service in self.addresses() {
            match self.tell(service) {
                Ok(None) => {}
                Ok(Some(why)) => trouble.push(why),
                Err(error) => trouble.push(error.to_string()),
            }
        }
        Ok(match trouble.is_empty() {
            true => Answer::success(),
            false => Answer::new(Code::Generic, trouble.join("; ")),
        })
    }

    /// The process that start leaves behind, for one service.
    fn wait_and_notify(&self) -> Result<Answer> {
        // Who starts it holds signals back, and so would it: a stop ends it by one.
        signals::let_through()?;
        // It is no part of what the cluster manager has started.
        let _ = nix::unistd::setsid();
        let name = std::env::var(notifier::ONLY).unwrap_or_default();
        let service = self.services.iter().find(|service| service.name == name);
        let service = service.ok_or_else(|| Error::new(format!("no service \"{name}\" here")))?;
        let _lock = notifier::begin(self.host, service)?;
        let mut trouble = format!(
            "{} did not come up while its clients could reclaim",
            service.ip
        );
        let mut seen = Instant::now();
        // Nobody hears of an error, and what fails now may do later.
        let trouble = loop {
            match self.is_wanted(service) {
                Ok(false) => break Some(trouble),
                Ok(true) => {
                    seen = Instant::now();
                    match self.tell_if_up(service) {
                        Ok(None) => sleep(PAUSE),
                        Ok(Some(told)) => break told,
                        Err(error) => {
                            trouble = error.to_string();
                            sleep(AGAIN);
                        }
                    }
                }
                Err(error) if seen.elapsed() >= BLIND => break Some(error.to_string()),
                Err(_) => sleep(AGAIN),
            }
        };
        if let Some(why) = trouble {
            say(
                Level::Critical,
                &format!("clients of {} were NOT ALL TOLD: {why}", service.ip),
            );
        }
        Ok(Answer::success())
    }

    /// Tells them if the address is up. Returns what was not complete.
    fn tell_if_up(&self, service: &Service) -> Result<Option<Option<String>>> {
        match host::is_local(service.ip)? {
            true => self.tell(service).map(Some),
            false => Ok(None),
        }
    }

    /// Whether it was taken over here and one of those behind its address recovers still.
    fn is_wanted(&self, service: &Service) -> Result<bool> {
        let nfsd = Nfsd::new(&self.host.nfsd);
        let status = nfsd.status()?;
        let recovers = |service: &Service| {
            let mut units = status.units_of(&service.path, service.fsid, service.ip);
            units.any(|unit| unit.recovers())
        };
        let behind = group::sharing(&self.config, service);
        Ok(nfsd.is_floating(service.ip)? && behind.iter().any(recovers))
    }

    /// Tells them. Returns what was not complete.
    fn tell(&self, service: &Service) -> Result<Option<String>> {
        if !self.is_wanted(service)? {
            return Err(Error::new(format!(
                "{} was not taken over here, or its recovery is over: clients would lose their locks, so nothing was sent",
                service.ip
            )));
        }
        let notify = Notify {
            host: self.host,
            config: &self.config,
            services: &group::sharing(&self.config, service),
            force: false,
            how: how(self.cli, self.parameters.notify_timeout, &Ports::default()),
        };
        let report = notify.run()?;
        Ok((report.exit() != 0).then(|| report.to_string()))
    }
}
