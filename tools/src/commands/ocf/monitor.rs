// SPDX-License-Identifier: GPL-2.0-only

//! Whether it runs.

use super::{
    Resource,
    Seen, //
};
use crate::config::Service;
use crate::error::Result;
use crate::nfsd::Nfsd;
use crate::ocf::judge::State;
use crate::ocf::parameters::Call;
use crate::ocf::{
    notifier,
    Answer,
    Code, //
};
use crate::program;
use crate::records::Look;
use crate::services;
use crate::status::line::Line;
use std::time::Duration;

/// From this level on, services are asked, too.
const SERVICES: u32 = 10;

impl Resource<'_> {
    pub(super) fn monitor(&self, call: Call) -> Result<Answer> {
        let seen = self.look_for(call.probe);
        Ok(match seen.state.clone() {
            State::Running => self.is_well(call, &seen),
            State::Edited(why) => match self.is_well(call, &seen) {
                failed if failed.code == Code::Generic => failed,
                _ => Answer::new(Code::Degraded, why),
            },
            State::Broken(why) => Answer::new(Code::Generic, why),
            State::Unseen(why) => Answer::new(
                Code::Generic,
                format!("it cannot be seen whether it runs: {why}"),
            ),
            // A node that could not serve it is closed before it is needed.
            State::Stopped if call.probe && *seen.module() == Ok(None) && cannot_be_loaded() => {
                Answer::new(
                    Code::Installed,
                    "this kernel has no module nfs_failover, so locks would be lost by a move to this node: \"nfs-failoverctl doctor\" says more; then \"crm_resource --refresh\"",
                )
            }
            State::Stopped => Answer::new(Code::NotRunning, ""),
        })
    }

    /// What is wrong with it although it runs. Only what a move to another node would heal is a
    /// failure.
    fn is_well(&self, call: Call, seen: &Seen) -> Answer {
        let mut trouble = Vec::new();
        // A mount of this node may keep lockd alive without it.
        if services::has_no_threads(self.host) {
            return Answer::new(
                Code::Generic,
                "nfsd has no threads: \"systemctl start nfs-server\"",
            );
        }
        match Nfsd::new(&self.host.nfsd).status() {
            Err(error) => trouble.push(error.to_string()),
            Ok(status) => {
                if status.taken_away() > Some(0) {
                    trouble.push("locks of clients were taken away here, as by a restart of nfsd, and nobody told them (taken_away in failover_status): restart this resource, and all others of this node".to_string());
                }
                if status.hooks_dead() {
                    trouble.push("the kernel has stopped calling the hooks of nfs_failover (hooks=dead in failover_status): move what is served here, and reboot this node".to_string());
                }
            }
        }
        trouble.extend(self.is_away(seen));
        trouble.extend(self.nobody_tells(seen));
        if call.level >= SERVICES {
            // A recovery is when it is busiest, and the last node may not be lost to that.
            let busy = self.anybody_recovers();
            let patience = match busy {
                true => Duration::ZERO,
                false => call.patience() / 2,
            };
            match services::lockd_within(self.host, patience) {
                // The others would be asked after it, and wait as long.
                Some(why) if busy => return Answer::new(Code::Degraded, why),
                Some(why) => return Answer::new(Code::Generic, why),
                None => {}
            }
            trouble.extend(services::problems(self.host));
            for service in &self.services {
                match Look::take(self.host, &self.config, service) {
                    Ok(Some(look)) if !look.is_well() => trouble.push(look.to_string()),
                    Ok(_) => {}
                    Err(error) => trouble.push(error.to_string()),
                }
            }
        } else {
            trouble.extend(services::callout(self.host).map(|problem| problem.to_string()));
        }
        match trouble.is_empty() {
            true => Answer::success(),
            false => Answer::new(Code::Degraded, trouble.join("; ")),
        }
    }
}

impl Resource<'_> {
    /// Whether clients of any filesystem can reclaim here.
    fn anybody_recovers(&self) -> bool {
        let status = Nfsd::new(&self.host.nfsd).status();
        status.is_ok_and(|status| status.units().any(Line::recovers))
    }

    /// Says if clients can reclaim and were not told, nor are they being told.
    fn nobody_tells(&self, seen: &Seen) -> Option<String> {
        let can_come = |service: &&Service| {
            let mut each = seen.each.iter();
            each.any(|part| part.recovers() && part.is_open(service.ip))
        };
        let mut services = self.addresses().into_iter().filter(can_come);
        services.find_map(|service| match notifier::has_told(self.host, service) {
            Ok(true) => None,
            Ok(false) => Some(format!(
                "clients of {0} can reclaim, and nobody tells them: \"nfs-failoverctl notify --ip {0}\"",
                service.ip
            )),
            Err(error) => Some(error.to_string()),
        })
    }

    /// Says if clients cannot come although they could not reclaim any more either. As long as they can,
    /// the address may be about to come up.
    fn is_away(&self, seen: &Seen) -> Option<String> {
        if seen.any_recovers() {
            return None;
        }
        let up = match seen.up() {
            Ok(up) => up,
            Err(why) => return Some(why.to_string()),
        };
        let down = self
            .services
            .iter()
            .find(|service| !up.contains(&service.ip))?;
        Some(format!(
            "{} is down, and its recovery is over: see that it is the address of the group, and that it comes up; clients that had locks have lost them",
            down.ip
        ))
    }
}

/// Whether it was seen that there is no module for this kernel.
fn cannot_be_loaded() -> bool {
    let tried = program::run("modprobe", &["--dry-run", "--quiet", "nfs_failover"]);
    program::exists("modprobe")
        && tried.is_err_and(|error| error.to_string().contains("(exit status: 1)"))
}
