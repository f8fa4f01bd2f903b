// SPDX-License-Identifier: GPL-2.0-only

//! Clients come back: in this order they find what they look for.

use super::Takeover;
use crate::error::{
    text,
    Result, //
};
use crate::export::{
    exports,
    interface, //
};
use crate::host;
use crate::notify::Notify;
use crate::steps::{
    taken,
    Outcome,
    Taken, //
};
use std::process::Command;
use std::thread::sleep;
use std::time::{
    Duration,
    Instant, //
};

impl Takeover<'_> {
    pub(super) fn export(&mut self) -> Result<Taken> {
        let path = self.service.path.display().to_string();
        let what = format!("export {path}");
        if !self.export {
            return taken(what, Outcome::Skipped, "left to the cluster manager");
        }
        let clients = exports(&self.service)?;
        if self.dry_run {
            return taken(what, Outcome::Would, "");
        }
        for (client, options) in clients {
            let fsid = self.service.fsid.map(|fsid| format!("fsid={fsid}"));
            let options: Vec<_> = [Some(options), fsid.as_deref()]
                .into_iter()
                .flatten()
                .filter(|word| !word.is_empty())
                .collect();
            host::run(
                "exportfs",
                &["-o", &options.join(","), &format!("{client}:{path}")],
            )?;
        }
        taken(what, Outcome::Done, "")
    }

    pub(super) fn address(&mut self) -> Result<Taken> {
        let ip = self.service.ip;
        let what = format!("{ip} up");
        if host::is_local(ip)? {
            return taken(what, Outcome::Already, "");
        }
        if !self.address {
            return taken(what, Outcome::Skipped, "left to the cluster manager");
        }
        let (interface, prefix) = interface(&self.service)?;
        if self.dry_run {
            return taken(what, Outcome::Would, "");
        }
        let with_prefix = format!("{ip}/{prefix}");
        let mut arguments = vec!["addr", "add", &with_prefix, "dev", interface];
        if ip.is_ipv6() {
            // Nobody else has it, and finding that out takes a second.
            arguments.push("nodad");
        }
        host::run("ip", &arguments)?;
        // Whoever is not there to hear of it asks by itself, later.
        let arping = ip.is_ipv4().then(|| {
            Command::new("arping")
                .args(["-q", "-U", "-c", "3", "-I", interface, &ip.to_string()])
                .spawn()
        });
        let why = match arping {
            Some(Err(error)) => format!("neighbours are not told: arping: {}", text(&error)),
            _ => String::new(),
        };
        taken(what, Outcome::Done, why)
    }

    pub(super) fn notify(&mut self) -> Result<Taken> {
        let ip = self.service.ip;
        let what = format!("tell the clients of {ip}");
        if !self.notify {
            return taken(what, Outcome::Skipped, "--no-notify");
        }
        if self.dry_run {
            let clients = if self.state().exists() {
                self.state().clients()?.names.len()
            } else {
                0
            };
            return taken(what, Outcome::Would, format!("{clients} clients"));
        }
        let deadline = Instant::now() + self.wait_address;
        while !host::is_local(ip)? {
            if Instant::now() >= deadline {
                return taken(
                    what,
                    Outcome::Incomplete,
                    format!(
                        "{ip} is not up here; when it is, run \"nfs-failoverctl notify --ip {ip}\""
                    ),
                );
            }
            sleep(Duration::from_millis(50));
        }
        let notify = Notify {
            host: self.host,
            service: &self.service,
            force: false,
            how: self.how.clone(),
        };
        let report = notify.run()?;
        let (answered, all) = (report.answered(), report.clients.len());
        let said = format!("{answered} of {all} answered");
        let result = if answered == all {
            Outcome::Done
        } else {
            Outcome::Incomplete
        };
        self.told = Some(report);
        taken(what, result, said)
    }
}
