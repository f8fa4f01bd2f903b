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
    Resource, //
};
use crate::cli::Ports;
use crate::error::{
    Error,
    Result, //
};
use crate::manifest::Found;
use crate::nfsd::Nfsd;
use crate::ocf::facts::Facts;
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
use crate::turn;
use std::iter;
use std::time::{
    Duration,
    Instant, //
};

impl Resource<'_> {
    pub(super) fn start(&self, call: Call) -> Result<Answer> {
        let (mut facts, mut state) = self.look();
        if facts.module == Ok(None) {
            if let Err(answer) = load_module() {
                return Ok(answer);
            }
            (facts, state) = self.look();
        }
        let up = facts.up.clone().map_err(Error::new)?;
        match (state, up.first()) {
            (State::Unseen(why), _) => return Err(Error::new(why)),
            // Clients are here.
            (State::Running, Some(_)) => return Ok(Answer::success()),
            (State::Edited(_), Some(_)) if facts.is_floating() => return Ok(Answer::success()),
            (_, Some(ip)) => {
                return Ok(Answer::new(
                    // An address that was left up here is no reason to close the other nodes.
                    Code::Arguments,
                    format!("{ip} is up already, so clients come before they can reclaim their locks: in the group, put this resource in front of its addresses"),
                ));
            }
            (_, None) => {}
        }
        if !matches!(facts.mount, Ok(Some(_))) {
            return Err(Error::new(format!(
                "{} is not mounted: in the group, put the filesystem in front of this resource",
                self.service().path.display()
            )));
        }
        if facts.listed != Ok(true) {
            return Err(Error::new(format!(
                "{} is not exported, so clients that come would lose their locks: in the group, put its exports in front of this resource",
                self.service().path.display()
            )));
        }
        for service in &self.services {
            notifier::end(self.host, service)?;
        }
        let _turn = turn::take_within(self.host, call.turn())?;
        self.is_free(&Facts::look(self.host, &self.config, &self.services))?;
        self.take_over(call.slowness())?;
        // What has failed without saying so.
        let (facts, why) = self.see(&State::Running);
        // Who came before the recovery began.
        self.is_free(&facts)?;
        if let Some(why) = why {
            return Err(Error::new(format!("the takeover was not complete: {why}")));
        }
        let recovers = matches!(&facts.module, Ok(Some(module)) if module.recovers());
        if !recovers {
            return Err(Error::new(
                "the recovery is over already, before clients can come: give it a longer grace",
            ));
        }
        if self.list(call.slowness())? != Found::Nothing {
            return Err(Error::new(format!(
                "{} is still there, and would be used a second time: remove it",
                self.manifest().display()
            )));
        }
        for service in &self.services {
            notifier::start(self.host, service, &self.options())?;
        }
        Ok(Answer::success())
    }

    /// Fails if clients hold something there. It is exported already, so who comes by another address of
    /// this node may have been granted what others are to reclaim; they would be refused.
    fn is_free(&self, facts: &Facts) -> Result<()> {
        let path = self.service().path.display();
        match &facts.held {
            Ok(held) if held.is_empty() => Ok(()),
            Ok(held) => Err(Error::new(format!(
                "clients hold {} on {path} before the recovery begins, and may have got what others are to reclaim: mount it by its floating IP only",
                held.join(", ")
            ))),
            Err(why) => Err(Error::new(format!(
                "it cannot be seen whether clients hold something on {path} already: {why}"
            ))),
        }
    }

    fn take_over(&self, patience: Duration) -> Result<()> {
        let begun = Instant::now();
        let mut takeovers: Vec<_> = self
            .services
            .iter()
            .enumerate()
            .map(|(at, service)| Takeover {
                host: self.host,
                config: &self.config,
                service: crate::config::Service {
                    grace: self.parameters.grace.or(service.grace),
                    ..service.clone()
                },
                manifest: self.manifest(),
                mount: false,
                export: false,
                address: false,
                notify: false,
                alone: false,
                wait_address: Duration::ZERO,
                how: how(self.cli, self.parameters.notify_timeout, &Ports::default()),
                told: None,
                dry_run: false,
                force: false,
                // What recovers here is of an earlier time: the filesystem may have been elsewhere
                // since. The first of them begins it, for all.
                fresh: at == 0,
                expect_none: true,
                patience,
                options: self.options(),
            })
            .collect();
        let (first, beside) = (takeover::managed(), takeover::managed_beside());
        let plans = iter::once(&first[..]).chain(iter::repeat(&beside[..]));
        let plans = || plans.clone().map(|plan| plan.split_at(takeover::LOOKS));
        let mut reports: Vec<_> = takeovers.iter().map(|_| Report::default()).collect();
        let mut say = |step: &Step| said(self.cli, step);
        let mut failed = false;
        // Nothing is begun if one of them cannot be finished.
        for ((takeover, report), (look, _)) in takeovers.iter_mut().zip(&mut reports).zip(plans()) {
            failed = failed || report.again(takeover, look, &mut say);
        }
        if !failed {
            signals::hold()?;
        }
        for ((takeover, report), (_, rest)) in takeovers.iter_mut().zip(&mut reports).zip(plans()) {
            failed = failed || report.again(takeover, rest, &mut say);
        }
        for (takeover, report) in takeovers.iter().zip(&reports) {
            if report.has_done() {
                taken_over(self.host, takeover, begun, report.exit()).log(self.host);
            }
        }
        if failed {
            return Err(Error::new(format!(
                "the takeover failed: {}",
                failures(&reports)
            )));
        }
        Ok(())
    }

    /// Ends a recovery that was begun. Fails if the kernel keeps to what it has promised, or cannot be
    /// asked.
    pub(super) fn end_recovery(&self) -> Result<()> {
        let Some(fsid) = self.service().fsid else {
            return Ok(());
        };
        let ended = Nfsd::new(&self.host.nfsd).command("nlm_set_igrace", &format!("{fsid} 0"));
        match ended {
            Err(error) if error.errno() != Some(nix::libc::ENOENT) => Err(error),
            _ => Ok(()),
        }
    }
}

/// Why steps failed.
pub(super) fn failures(reports: &[Report]) -> String {
    let steps = reports.iter().flat_map(Report::steps);
    let failed = steps.filter(|step| step.result == Outcome::Failed);
    let lines: Vec<_> = failed
        .map(|step| format!("{}: {}", step.step, step.why))
        .collect();
    lines.join("; ")
}
