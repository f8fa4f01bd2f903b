// SPDX-License-Identifier: GPL-2.0-only

//! What a takeover does that nobody else does: the recovery, before anybody can come, and the process
//! that tells clients when they can.

use super::super::moves::{
    how,
    said,
    taken_over, //
};
use super::{
    load_module,
    manifest,
    Part,
    Resource,
    Seen, //
};
use crate::cli::Ports;
use crate::config::Service;
use crate::error::{
    Error,
    Result, //
};
use crate::grace;
use crate::group;
use crate::manifest::Found;
use crate::nfsd::Nfsd;
use crate::ocf::judge::State;
use crate::ocf::parameters::Call;
use crate::ocf::{
    notifier,
    Answer,
    Code, //
};
use crate::signals;
use crate::steps::{
    Outcome,
    Report,
    Step, //
};
use crate::takeover::{
    self,
    Takeover, //
};
use crate::together::{
    self,
    One,
    Stops, //
};
use crate::turn;
use std::time::{
    Duration,
    Instant, //
};

impl Resource<'_> {
    pub(super) fn start(&self, call: Call) -> Result<Answer> {
        let mut seen = self.look();
        if *seen.module() == Ok(None) {
            if let Err(answer) = load_module() {
                return Ok(answer);
            }
            seen = self.look();
        }
        let up = seen.up()?;
        if let State::Unseen(why) = &seen.state {
            return Err(Error::new(why));
        }
        // What it would begin anew is used by another address, or with another filesystem.
        self.is_as_taken_over()?;
        match (&seen.state, up.first()) {
            // Clients are here.
            (State::Running, Some(_)) => return Ok(Answer::success()),
            (State::Edited(_), Some(_)) if seen.is_floating() => return Ok(Answer::success()),
            (_, Some(ip)) => {
                return Ok(Answer::new(
                    // An address that was left up here is no reason to close the other nodes.
                    Code::Arguments,
                    format!("{ip} is up already, so clients come before they can reclaim their locks: in the group, put this resource in front of its addresses"),
                ));
            }
            (_, None) => {}
        }
        for Part { service, facts, .. } in &seen.each {
            let path = service.path.display();
            if !matches!(facts.mount, Ok(Some(_))) {
                return Err(Error::new(format!(
                    "{path} is not mounted: in the group, put the filesystem in front of this resource"
                )));
            }
            if facts.listed != Ok(true) {
                return Err(Error::new(format!(
                    "{path} is not exported, so clients that come would lose their locks: in the group, put its exports in front of this resource"
                )));
            }
        }
        for service in self.addresses() {
            notifier::end(self.host, service)?;
        }
        let _turn = turn::take_within(self.host, call.turn())?;
        is_free(&self.look())?;
        let until = Instant::now() + call.slowness();
        self.take_over(until)?;
        // What has failed without saying so.
        let (seen, why) = self.see(&State::Running, Instant::now());
        // Who came before the recovery began.
        is_free(&seen)?;
        if let Some(why) = why {
            return Err(Error::new(format!("the takeover was not complete: {why}")));
        }
        if !seen.all_recover() {
            return Err(Error::new(
                "the recovery is over already, before clients can come: give it a longer grace",
            ));
        }
        for Part { service, .. } in &seen.each {
            if self.list(service, until)? != Found::Nothing {
                return Err(Error::new(format!(
                    "{} is still there, and would be used a second time: remove it",
                    manifest(service).display()
                )));
            }
        }
        for service in self.addresses() {
            notifier::start(self.host, service, &self.options())?;
        }
        Ok(Answer::success())
    }

    fn take_over(&self, until: Instant) -> Result<()> {
        let begun = Instant::now();
        let longest = || grace::longest(self.host, &self.services);
        let grace = self.parameters.grace.or_else(longest);
        let mut takeovers =
            together::begin(self.services.iter().enumerate().map(|(at, service)| {
                let before = &self.services[..at];
                let beside = before.iter().any(|other| other.path == service.path);
                Takeover {
                    host: self.host,
                    config: &self.config,
                    service: Service {
                        grace,
                        ..service.clone()
                    },
                    manifest: manifest(service),
                    mount: false,
                    export: false,
                    address: false,
                    notify: false,
                    addresses: group::addresses(&self.services),
                    wait_address: Duration::ZERO,
                    how: how(self.cli, self.parameters.notify_timeout, &Ports::default()),
                    told: None,
                    dry_run: false,
                    force: false,
                    // What recovers here is of an earlier time: the filesystem may have been elsewhere
                    // since. The first of its services begins it, for all.
                    fresh: !beside,
                    beside,
                    absent: false,
                    away: Vec::new(),
                    expect_none: true,
                    until: Some(until),
                    options: self.options(),
                }
            }));
        let plan = takeover::managed();
        let (look, rest) = plan.split_at(takeover::LOOKS);
        let say = &mut |step: &Step| said(self.cli, step);
        // Nothing is begun if one of them cannot be finished.
        together::run(&mut takeovers, look, Stops::All, say);
        if together::exit(&takeovers) != 1 {
            signals::hold()?;
            together::run(&mut takeovers, rest, Stops::All, say);
        }
        let exit = together::exit(&takeovers);
        if together::has_done(&takeovers) {
            for One { on, .. } in &takeovers {
                taken_over(on, None, begun, exit).log(self.host);
            }
        }
        if exit == 1 {
            return Err(Error::new(format!(
                "the takeover failed: {}",
                failures(takeovers.iter().map(|one| &one.report))
            )));
        }
        Ok(())
    }

    /// Ends a recovery that was begun. Fails if the kernel keeps to what it has promised, or cannot be
    /// asked.
    pub(super) fn end_recovery(&self, service: &Service) -> Result<()> {
        let Some(fsid) = service.fsid else {
            return Ok(());
        };
        let ended = Nfsd::new(&self.host.nfsd).command("nlm_set_igrace", &format!("{fsid} 0"));
        match ended {
            Err(error) if error.errno() != Some(nix::libc::ENOENT) => Err(error),
            _ => Ok(()),
        }
    }
}

/// Fails if clients hold something there. It is exported already, so who comes by another address of this
/// node may have been granted what others are to reclaim; they would be refused.
fn is_free(seen: &Seen) -> Result<()> {
    for Part { service, facts, .. } in &seen.each {
        let path = service.path.display();
        match &facts.held {
            Ok(held) if held.is_empty() => {}
            Ok(held) => {
                return Err(Error::new(format!(
                    "clients hold {} on {path} before the recovery begins, and may have got what others are to reclaim: mount it by its floating IP only",
                    held.join(", ")
                )))
            }
            Err(why) => {
                return Err(Error::new(format!(
                    "it cannot be seen whether clients hold something on {path} already: {why}"
                )))
            }
        }
    }
    Ok(())
}

/// Why steps failed.
pub(super) fn failures<'a>(reports: impl Iterator<Item = &'a Report>) -> String {
    let steps = reports.flat_map(Report::steps);
    let failed = steps.filter(|step| step.result == Outcome::Failed);
    let lines: Vec<_> = failed
        .map(|step| format!("{}: {}", step.step, step.why))
        .collect();
    lines.join("; ")
}
