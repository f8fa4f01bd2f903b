// SPDX-License-Identifier: GPL-2.0-only

//! The mount namespaces of the machine, as far as a process is in them.

use super::processes::{
    comm,
    pids, //
};
use crate::host::Host;
use crate::mounts::{
    self,
    Mount, //
};
use std::collections::{
    BTreeMap,
    BTreeSet, //
};
use std::fs;
use std::path::PathBuf;

/// One of them.
#[derive(Debug)]
pub(super) struct Namespace {
    /// A process that is in it.
    pid: u32,
    /// What is mounted there.
    pub(super) mounts: Vec<Mount>,
    /// Whether it is that of this process.
    own: bool,
}

/// All of them, by what `/proc/PID/ns/mnt` points to.
#[derive(Debug)]
pub(super) struct Namespaces<'a> {
    host: &'a Host,
    all: BTreeMap<PathBuf, Namespace>,
}

impl<'a> Namespaces<'a> {
    /// Takes a look.
    pub(super) fn read(host: &'a Host) -> Self {
        let proc = host.proc();
        let own = fs::read_link(proc.join("self/ns/mnt")).ok();
        let mut all = BTreeMap::new();
        for pid in pids(host) {
            let dir = proc.join(pid.to_string());
            // It may have ended meanwhile.
            let Ok(name) = fs::read_link(dir.join("ns/mnt")) else {
                continue;
            };
            if all.contains_key(&name) {
                continue;
            }
            let Ok(mounts) = mounts::read(&dir.join("mountinfo")) else {
                continue;
            };
            let own = own.as_ref() == Some(&name);
            all.insert(name, Namespace { pid, mounts, own });
        }
        Self { host, all }
    }

    /// The one that a process is in.
    pub(super) fn of(&self, pid: u32) -> Option<&Namespace> {
        let name = fs::read_link(self.host.proc().join(format!("{pid}/ns/mnt"))).ok()?;
        self.all.get(&name)
    }

    /// Numbers of all mounts of a filesystem.
    pub(super) fn mount_ids(&self, mount: &Mount) -> BTreeSet<u32> {
        let all = self.all.values().flat_map(|namespace| &namespace.mounts);
        all.filter(|other| other.device == mount.device)
            .map(|other| other.id)
            .collect()
    }

    /// Mounts of the filesystem in other namespaces that stay when `mount` is unmounted.
    ///
    /// An umount spreads from the mount that it is on to the peers of that and to those that
    /// follow them, directly or not.
    pub(super) fn not_unmounted(&self, mount: &Mount, own: &[Mount]) -> Vec<String> {
        let on = own.iter().find(|other| other.id == mount.parent);
        let reached = self.reached(on.and_then(|on| on.shared));
        let mut found = Vec::new();
        for namespace in self.all.values().filter(|namespace| !namespace.own) {
            let mounts = &namespace.mounts;
            for copy in mounts.iter().filter(|copy| copy.device == mount.device) {
                let on = mounts.iter().find(|other| other.id == copy.parent);
                let goes = on.is_some_and(|on| {
                    [on.shared, on.master]
                        .into_iter()
                        .flatten()
                        .any(|group| reached.contains(&group))
                });
                if !goes {
                    found.push(format!(
                        "it is mounted at {} in the mount namespace of process {} ({}), too, and would stay there: end that, or \"nsenter -t {} -m umount {}\"",
                        copy.point.display(),
                        namespace.pid,
                        comm(self.host, namespace.pid),
                        namespace.pid,
                        copy.point.display()
                    ));
                }
            }
        }
        found
    }

    /// The groups that hear of it when something is unmounted in `group`.
    fn reached(&self, group: Option<u32>) -> BTreeSet<u32> {
        let mut reached: BTreeSet<_> = group.into_iter().collect();
        loop {
            let all = self.all.values().flat_map(|namespace| &namespace.mounts);
            let more: BTreeSet<_> = all
                .filter(|mount| mount.master.is_some_and(|master| reached.contains(&master)))
                .filter_map(|mount| mount.shared)
                .collect();
            let before = reached.len();
            reached.extend(more);
            if reached.len() == before {
                return reached;
            }
        }
    }
}
