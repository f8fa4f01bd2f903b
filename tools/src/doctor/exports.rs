// SPDX-License-Identifier: GPL-2.0-only

//! The filesystems: exported where they are mounted, nowhere else, and never by two nodes.

use super::finding::{
    Finding,
    Sight, //
};
use super::sight;
use crate::config::{
    Config,
    Service, //
};
use crate::export;
use crate::exporttable::Table;
use crate::host::{
    self,
    Host, //
};
use crate::inuse::processes::{
    comm,
    pids, //
};
use crate::octal::unescape;
use crate::program;
use crate::release;
use nix::sys::statvfs::statvfs;
use std::path::PathBuf;

const TWICE: &str =
    "two nodes have it mounted after a crash: the filesystem is destroyed, all locks with it";

/// Filesystems that several nodes have mounted at once, and of which each exports all.
const CLUSTERED: [&str; 12] = [
    "gfs2",
    "ocfs2",
    "ceph",
    "fuse.ceph",
    "fuse.glusterfs",
    "glusterfs",
    "lustre",
    "beegfs",
    "gpfs",
    "orangefs",
    "nfs",
    "nfs4",
];

/// Room for a list of 20,000 locks.
const ROOM: u64 = 4 << 20;

/// What was seen of one service.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Its name.
    pub name: String,
    /// Where it is mounted, and by which address it is reached.
    pub path: PathBuf,
    /// That address.
    pub ip: String,
    /// Of which type it is, if it is mounted here, or its disk is.
    pub kind: Sight<Option<String>>,
    /// Whether it is mounted here.
    pub mounted: Sight<bool>,
    /// Whether the address is up here.
    pub address: Sight<bool>,
    /// Whether it is exported.
    pub exported: Sight<bool>,
    /// The file that has it exported at boot.
    pub at_boot: Sight<Option<PathBuf>>,
    /// Whether fstab has it mounted at boot.
    pub fstab: Sight<bool>,
    /// Whether Pacemaker runs, which takes over and releases.
    pub managed: bool,
    /// Whether the configuration file names its disk.
    pub disk: bool,
    /// Free bytes and free inodes; a filesystem that makes inodes as it needs them has no number.
    pub room: Sight<(u64, Option<u64>)>,
}

impl Facts {
    /// Looks.
    pub fn gather(host: &Host, config: &Config, service: &Service) -> Self {
        let mount = host.mount_at(&service.path);
        let mounted = mount.as_ref().map(Option::is_some);
        let exported = Table::read(host, config).map(|table| {
            let exports = table.of(&service.path);
            exports.iter().any(|export| export.listed)
        });
        let etc = sight::has_etc(&host.root);
        let kind = match &mount {
            Ok(Some(mount)) => Ok(Some(mount.kind.clone())),
            Ok(None) => on_disk(service),
            Err(error) => Err(error.to_string()),
        };
        Self {
            name: service.name.clone(),
            path: service.path.clone(),
            ip: service.ip.to_string(),
            kind,
            mounted: mounted.map_err(ToString::to_string),
            address: host::is_local(service.ip).map_err(|error| error.to_string()),
            exported: exported.map_err(|error| error.to_string()),
            at_boot: etc
                .clone()
                .and_then(|()| export::at_boot(host, &service.path)),
            fstab: etc
                .and_then(|()| sight::file(&host.root.join("etc/fstab")))
                .map(|text| mounts_at_boot(&text.unwrap_or_default(), service)),
            managed: pids(host)
                .into_iter()
                .any(|pid| comm(host, pid) == "pacemakerd"),
            disk: release::known_disk(service).is_some(),
            room: room(service),
        }
    }
}

/// What the disk of a service has, while that is not mounted here.
fn on_disk(service: &Service) -> Sight<Option<String>> {
    let Some(device) = &service.device else {
        return Ok(None);
    };
    if !device.has_root() || !device.exists() || !program::exists("blkid") {
        return Ok(None);
    }
    let device = device.display().to_string();
    // It ends with 2 if it knows nothing of it.
    let kind = sight::said("blkid", &["-o", "value", "-s", "TYPE", &device]).ok();
    Ok(kind.filter(|kind| !kind.is_empty()))
}

fn room(service: &Service) -> Sight<(u64, Option<u64>)> {
    let stat = statvfs(&service.path).map_err(|error| {
        format!(
            "cannot look for room in {}: {error}",
            service.path.display()
        )
    })?;
    let inodes = (stat.files() > 0).then(|| stat.files_free());
    Ok((stat.blocks_free() * stat.fragment_size(), inodes))
}

/// Whether fstab has a filesystem mounted at boot.
pub fn mounts_at_boot(fstab: &str, service: &Service) -> bool {
    fstab.lines().any(|line| {
        let mut words = line.split_whitespace();
        let is_comment = line.trim_start().starts_with('#');
        let (_, point, _, options) = (words.next(), words.next(), words.next(), words.next());
        let noauto = options
            .unwrap_or("")
            .split(',')
            .any(|word| word == "noauto");
        !is_comment && !noauto && point.is_some_and(|at| unescape(at.as_bytes()) == service.path)
    })
}

/// Judges.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut found = vec![kind(facts), boot(facts)];
    found.extend(here(facts));
    if facts.managed && !facts.disk {
        found.push(Finding::warning(
            "device",
            "the configuration file does not name its disk",
            "if it is unmounted lazily (umount -l), a stop by Pacemaker cannot see whether the disk is still in use, and the node is fenced",
            "write device of the service into the configuration file, a block device or UUID=",
        ));
    }
    found
        .into_iter()
        .map(|finding| finding.of(&facts.name))
        .collect()
}

fn kind(facts: &Facts) -> Finding {
    match &facts.kind {
        Ok(Some(kind)) if CLUSTERED.contains(&kind.as_str()) => Finding::error(
            "filesystem",
            format!(
                "{} is {kind}, which several nodes have mounted at once and can export at once: not supported",
                facts.path.display()
            ),
            "a recovery holds on one node only: another that exports it, too, gives a rival the locks that clients are about to reclaim",
            "serve it from one node at a time, on a filesystem of one node such as xfs or ext4",
        ),
        Ok(Some(kind)) => Finding::ok("filesystem", format!("it is {kind}")),
        Ok(None) => Finding::info(
            "filesystem",
            "it is not mounted here, so its type was not seen",
        ),
        Err(why) => Finding::unknown("filesystem", why, TWICE, "findmnt"),
    }
}

fn boot(facts: &Facts) -> Finding {
    let path = facts.path.display();
    if let Ok(Some(file)) = &facts.at_boot {
        return Finding::error(
            "boot",
            format!("{path} is in {}", file.display()),
            "it is exported at boot, before it is mounted: clients get stale file handles and lose their locks",
            format!("remove the line from {}, then exportfs -r", file.display()),
        );
    }
    match (&facts.fstab, &facts.at_boot) {
        (Ok(false), Ok(_)) => Finding::ok("boot", "it is neither mounted nor exported at boot"),
        (Ok(true), _) => Finding::error(
            "boot",
            format!("/etc/fstab has {path} mounted at boot"),
            TWICE,
            "write noauto into its line of /etc/fstab, or remove it",
        ),
        (Err(why), _) | (_, Err(why)) => {
            Finding::unknown("boot", why, TWICE, "cat /etc/fstab /etc/exports")
        }
    }
}

fn here(facts: &Facts) -> Vec<Finding> {
    let lost = format!(
        "clients of {} get \"stale file handle\" and lose their locks",
        facts.ip
    );
    let (mounted, address, exported) = match (&facts.mounted, &facts.address, &facts.exported) {
        (Ok(mounted), Ok(address), Ok(exported)) => (*mounted, *address, *exported),
        (Err(why), ..) | (_, Err(why), _) | (.., Err(why)) => {
            return vec![Finding::unknown("served", why, lost, "exportfs -s")]
        }
    };
    // What is done beside Pacemaker is undone by it.
    let takeover = |options: &str| match facts.managed {
        true => "crm resource cleanup, or pcs resource cleanup".into(),
        false => format!("nfs-failoverctl takeover {} {options}", facts.name),
    };
    let again = takeover("--export --address");
    let mut found = vec![match (mounted, exported, address) {
        (true, true, true) => Finding::ok("served", format!("here, by {}", facts.ip)),
        (false, false, false) => Finding::ok("served", "not here"),
        (false, _, true) => Finding::error(
            "served",
            format!(
                "{} is up here, and {} is not mounted",
                facts.ip,
                facts.path.display()
            ),
            lost,
            takeover("--mount --export"),
        ),
        (true, false, true) => Finding::error(
            "served",
            format!(
                "{} is up here, and {} is not exported",
                facts.ip,
                facts.path.display()
            ),
            lost,
            again,
        ),
        (false, true, false) => Finding::warning(
            "served",
            format!("{} is exported and not mounted", facts.path.display()),
            "clients that come by another address get stale file handles",
            format!("exportfs -u CLIENT:{}", facts.path.display()),
        ),
        (true, _, false) => Finding::warning(
            "served",
            format!("it is mounted here, and {} is not up", facts.ip),
            format!("clients of {} wait", facts.ip),
            again,
        ),
    }];
    if mounted {
        found.push(enough(facts));
    }
    found
}

fn enough(facts: &Facts) -> Finding {
    let path = facts.path.display();
    let heal = format!("make room on {path}");
    match &facts.room {
        Ok((_, Some(0))) => Finding::error(
            "room",
            format!("{path} has no free inode"),
            "new NFSv3 clients are not on record: after a crash they lose their locks",
            heal,
        ),
        Ok((bytes, _)) if *bytes < ROOM => Finding::warning(
            "room",
            format!("{path} has less than {} MiB free", ROOM >> 20),
            "if there is no room for the list of locks, everybody waits after a move as after a crash",
            heal,
        ),
        Ok(_) => Finding::ok("room", "for records and the list of locks"),
        Err(why) => Finding::unknown("room", why, "clients may not be on record", heal),
    }
}
