// SPDX-License-Identifier: GPL-2.0-only

//! Keeping the list of connections of a floating IP as it is: a crash cannot be foreseen.

use super::errand::Errand;
use super::watch::is_served;
use crate::config::Service;
use crate::connections::ports::Ports;
use crate::connections::stored::Listed;
use crate::host::Host;
use crate::nfsd::Nfsd;
use crate::services;
use crate::syslog::Level;
use std::sync::{
    Arc,
    Mutex,
    PoisonError, //
};
use std::time::{
    Duration,
    Instant, //
};

/// How old the list can become. It is written only if it has changed.
const EVERY: Duration = Duration::from_secs(4);

/// For so long the list stays as it is found: the address may have come before the takeover, which puts
/// it aside.
const LEFT_ALONE: Duration = Duration::from_secs(15);

/// The list of one floating IP.
#[derive(Default)]
pub(super) struct List {
    errand: Errand,
    ports: Arc<Mutex<Ports>>,
    /// When it is written next; not at all while the address is not here.
    next: Option<Instant>,
}

impl List {
    /// Looks, if it is time for that.
    pub(super) fn next(&mut self, host: &Host, service: &Service) {
        let now = Instant::now();
        let next = *self.next.get_or_insert(now + LEFT_ALONE);
        if now < next {
            return;
        }
        self.next = Some(now + EVERY);
        let text = format!("connections to floating IP {}", service.ip);
        let path = service.path.display().to_string();
        let hangs = format!("{text} cannot be listed: {path} does not answer");
        let (host, service) = (host.clone(), service.clone());
        let ports = self.ports.clone();
        self.errand.next(
            Level::Notice,
            || hangs,
            move || {
                let why = keep(&host, &service, &ports)?;
                Some(format!("{text} ({path}): {why}"))
            },
        );
    }

    /// The address is not here.
    pub(super) fn rest(&mut self) {
        self.next = None;
    }
}

/// Returns what there is to say.
fn keep(host: &Host, service: &Service, ports: &Mutex<Ports>) -> Option<String> {
    let (ports, mut said) = ports
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .at(Instant::now(), || services::tcp_ports(host));
    match Listed::now(host, service, &ports) {
        // To ask for ports may have taken long.
        Ok(_) if !is_served(host, service) || Nfsd::new(&host.nfsd).is_released(service) => {
            said.clear();
        }
        Ok(listed) => {
            said.extend(listed.trouble());
            if !listed.is_kept(host, service) {
                let kept = listed.keep(host, service);
                said.extend(kept.err().map(|error| error.to_string()));
            }
        }
        Err(error) => said.push(error.to_string()),
    }
    (!said.is_empty()).then(|| said.join("; "))
}
