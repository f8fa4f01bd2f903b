// SPDX-License-Identifier: GPL-2.0-only

//! A module that does what it is told, a moment later.

use crate::common::Node;
use nix::sys::inotify::{
    AddWatchFlags,
    InitFlags,
    Inotify, //
};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::thread;

/// What it knows.
pub struct Kernel {
    dir: PathBuf,
    unit: String,
    floating: BTreeSet<String>,
    /// The filesystems. What is said of one is heard for all, as files keep the last command only.
    fsids: Vec<String>,
}

impl Kernel {
    /// With a unit, or none, and addresses in `floating_ips`.
    pub fn start(node: &Node, fsids: &[&str], unit: &str, floating: &[&str]) -> Self {
        let new = || Self {
            dir: node.dir.path("nfsd"),
            unit: unit.into(),
            floating: floating.iter().map(|ip| (*ip).into()).collect(),
            fsids: fsids.iter().map(|fsid| (*fsid).into()).collect(),
        };
        let mut kernel = new();
        kernel.show("");
        kernel.show("floating_ips");
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC).unwrap();
        inotify
            .add_watch(
                &kernel.dir,
                AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_DELETE_SELF,
            )
            .unwrap();
        // At once: a command that comes before the last one was read would take its place. The last event is
        // that the directory is gone.
        thread::spawn(move || {
            while kernel.dir.exists() {
                for event in inotify.read_events().unwrap_or_default() {
                    let name = event.name.unwrap_or_default().into_string().unwrap();
                    let text = fs::read_to_string(kernel.dir.join(&name)).unwrap_or_default();
                    if kernel.hear(&name, text.lines().next().unwrap_or("")) {
                        kernel.show(&name);
                    }
                }
            }
        });
        new()
    }

    /// Returns whether something has to be shown.
    fn hear(&mut self, name: &str, command: &str) -> bool {
        let unit = |phase: &str, more: &str| {
            let lines = self.fsids.iter().map(|fsid| {
                format!(
                    "unit fsid={fsid} phase={phase} left=60 reclaimed=0 refused=0 waits=0{more}"
                )
            });
            lines.collect::<Vec<_>>().join("\n")
        };
        match (name, command.split_at_checked(1)) {
            ("floating_ips", Some(("+", rest))) => {
                let ip = rest.split(' ').next().unwrap();
                self.floating.insert(ip.into());
                true
            }
            ("floating_ips", Some(("-", ip))) => {
                self.floating.remove(ip);
                true
            }
            ("nlm_set_igrace", Some(_)) => {
                self.unit = match command.ends_with(" 0") {
                    true => String::new(),
                    false => unit("recovering", ""),
                };
                true
            }
            ("nlm_unlock", Some(("1" | "5", _))) => {
                self.unit = unit("released", " manifest=2 outstanding=2");
                true
            }
            ("lock_manifest", Some(("n", _))) => {
                self.unit = unit("recovering", " manifest=2 outstanding=2");
                true
            }
            _ => false,
        }
    }

    /// Shows what has changed by a command to a file, and leaves alone what others may have written.
    fn show(&self, file: &str) {
        let mut text = String::new();
        let name = match file {
            "floating_ips" => {
                for ip in &self.floating {
                    text += &format!("ip={ip} confirm=no clients=0 refused=0\n");
                }
                file
            }
            _ => {
                if !self.unit.is_empty() {
                    text += &format!("{}\n", self.unit);
                }
                text += "totals units=1 hooks=live nmissed=0 taken_away=0\n";
                "failover_status"
            }
        };
        // A reader sees all or nothing.
        let new = self.dir.join("../new");
        let _ = fs::write(&new, text).and_then(|()| fs::rename(&new, self.dir.join(name)));
    }
}
