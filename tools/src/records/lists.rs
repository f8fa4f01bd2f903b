// SPDX-License-Identifier: GPL-2.0-only

//! Keeping the list of connections of a floating IP as it is: a crash cannot be foreseen.

use super::errand::Errand;
use super::watch::is_served;
use crate::config::Service;
use crate::connections::{
    kernel,
    stored,
    text,
    MAX, //
};
use crate::error::{
    Error,
    Result, //
};
use crate::host::Host;
use crate::syslog::Level;
use std::sync::atomic::{
    AtomicBool,
    Ordering, //
};
use std::sync::Arc;
use std::time::{
    Duration,
    Instant, //
};

/// How old the list can become. It is written only if it has changed.
const EVERY: Duration = Duration::from_secs(4);

/// The list of one service.
#[derive(Default)]
pub(super) struct List {
    errand: Errand,
    /// Whether the list of the node before was put aside since the address came.
    is_ours: Arc<AtomicBool>,
    next: Option<Instant>,
}

impl List {
    /// Looks, if it is time for that.
    pub(super) fn next(&mut self, host: &Host, service: &Service) {
        let now = Instant::now();
        if self.next.is_some_and(|next| now < next) {
            return;
        }
        self.next = Some(now + EVERY);
        let path = service.path.display().to_string();
        let text = format!("connections to floating IP {} ({path})", service.ip);
        let hangs = format!("{text} cannot be listed: {path} does not answer");
        let (host, service) = (host.clone(), service.clone());
        let is_ours = self.is_ours.clone();
        self.errand.next(
            Level::Notice,
            || hangs,
            move || {
                let why = keep(&host, &service, &is_ours).err()?;
                Some(format!("{text}: {why}"))
            },
        );
    }

    /// The address is not here.
    pub(super) fn rest(&mut self) {
        // One that hangs does not know of the next time.
        self.is_ours = Arc::default();
        self.next = None;
    }
}

fn keep(host: &Host, service: &Service, is_ours: &AtomicBool) -> Result<()> {
    if !is_ours.load(Ordering::Relaxed) {
        stored::put_aside(host, service)?;
        is_ours.store(true, Ordering::Relaxed);
    }
    let connections = kernel::connections(host, service.ip)?;
    // As long as it is here, these were all.
    if !is_served(host, service) {
        return Ok(());
    }
    stored::keep(host, service, &text(&connections))?;
    match connections.len() > MAX {
        true => Err(Error::new(format!("only {MAX} are listed"))),
        false => Ok(()),
    }
}
