// SPDX-License-Identifier: GPL-2.0-only

//! `config check`: everything that is wrong with the configuration, at once.

use crate::config::{
    Config,
    Service, //
};
use crate::host::{
    self,
    Host, //
};
use crate::policy::command::MAX_SECONDS;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{
    Component,
    Path, //
};

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What has to be put right.
    pub errors: Vec<String>,
    /// What may be meant like that.
    pub warnings: Vec<String>,
}

impl Findings {
    fn error(&mut self, service: &Service, text: impl AsRef<str>) {
        self.errors
            .push(format!("service \"{}\": {}", service.name, text.as_ref()));
    }

    fn warn(&mut self, service: &Service, text: impl AsRef<str>) {
        self.warnings
            .push(format!("service \"{}\": {}", service.name, text.as_ref()));
    }
}

/// Checks a configuration that could be read, against this machine.
pub fn check(config: &Config, host: &Host) -> Findings {
    let mut found = Findings::default();
    if config.services.is_empty() {
        found
            .warnings
            .push("there is no [[service]], so nothing can be named by name".into());
    }
    let user = host::statd_user(&config.statd_dir);
    if let Err(error) = &user {
        found.errors.push(error.to_string());
    }
    for (at, service) in config.services.iter().enumerate() {
        for other in &config.services[..at] {
            unlike(&mut found, service, other);
        }
        words(&mut found, service);
        paths(&mut found, service);
        numbers(&mut found, service);
        if let Ok(user) = user {
            on_this_machine(&mut found, service, host, user);
        }
    }
    found
}

/// What two services must not, or must, have in common.
fn unlike(found: &mut Findings, service: &Service, other: &Service) {
    if service.name == other.name {
        found.error(service, "another service has this name: rename one");
    }
    if service.ip == other.ip {
        found.error(
            service,
            format!(
                "\"{}\" has the ip {}, too: a floating IP moves with one filesystem only",
                other.name, service.ip
            ),
        );
    }
    let same_path = service.path == other.path;
    if service.fsid.is_some() && (service.fsid == other.fsid) != same_path {
        found.error(
            service,
            format!(
                "\"{}\" has the same {}, but another {}: give a filesystem one fsid and one path",
                other.name,
                if same_path { "path" } else { "fsid" },
                if same_path { "fsid" } else { "path" }
            ),
        );
    }
    if same_path && service.state_dir() != other.state_dir() {
        found.warn(
            service,
            format!(
                "\"{}\" keeps the manifest of the same filesystem elsewhere: use one state_dir",
                other.name
            ),
        );
    }
}

fn words(found: &mut Findings, service: &Service) {
    let odd = |letter: char| letter.is_whitespace() || letter.is_control();
    if service.name.is_empty() || service.name.contains(odd) {
        found.error(service, "the name is empty or has blanks: use a word");
    }
    if service.fsid.is_none() {
        found.warn(
            service,
            "no fsid: \"release\" needs one, take that of exports(5)",
        );
    }
    for export in &service.exports {
        match crate::export::split_export(export) {
            None => found.error(service, format!("export \"{export}\" is not CLIENT:OPTIONS, such as \"10.0.0.0/8:rw,no_subtree_check\"")),
            Some((_, options)) if options.split(',').any(|o| o.starts_with("fsid=")) => {
                found.error(service, format!("export \"{export}\" has an fsid=: leave it out, it comes from fsid"));
            }
            Some(_) => {}
        }
    }
}

fn paths(found: &mut Findings, service: &Service) {
    let state_dir = service.state_dir();
    for (what, path) in [
        ("path", Some(&service.path)),
        ("state_dir", Some(&state_dir)),
        ("device", service.device.as_ref()),
    ] {
        let Some(path) = path else { continue };
        let shown = path.display();
        if what == "device" && !path.has_root() {
            // UUID=... and the like are for mount(8) to understand.
            continue;
        }
        if !path.is_absolute() {
            found.error(service, format!("{what} {shown} is relative: begin with /"));
        } else if path.components().any(|part| part == Component::ParentDir) {
            found.error(
                service,
                format!("{what} {shown} has a \"..\": write it without"),
            );
        }
    }
    if service.path == Path::new("/") {
        found.error(service, "path is /: the root filesystem cannot move");
    }
    if !state_dir.starts_with(&service.path) {
        found.warn(service, format!("state_dir {} is not under {}: it must be on storage that the next node can read, too", state_dir.display(), service.path.display()));
    }
}

fn numbers(found: &mut Findings, service: &Service) {
    for (what, seconds) in [("grace", service.grace), ("fence", service.fence)] {
        if seconds.is_some_and(|seconds| seconds > MAX_SECONDS) {
            found.error(
                service,
                format!("{what} is more than {MAX_SECONDS} seconds"),
            );
        }
    }
    if service.grace == Some(0) {
        found.error(
            service,
            "grace = 0 ends a recovery: leave it out for the kernel's own",
        );
    }
    let longest = if service.ip.is_ipv4() { 32 } else { 128 };
    if service.prefix.is_some_and(|prefix| prefix > longest) {
        found.error(service, format!("prefix is more than {longest}"));
    }
    if service.interface.is_some() != service.prefix.is_some() {
        found.error(
            service,
            "interface and prefix belong together: write both or none",
        );
    }
}

fn on_this_machine(found: &mut Findings, service: &Service, host: &Host, user: (u32, u32)) {
    match host.is_mounted(&service.path) {
        Ok(true) => {}
        // Served by another node at the moment.
        Ok(false) => return,
        Err(error) => return found.error(service, error.to_string()),
    }
    let dir = service.state_dir().join(service.ip.to_string());
    for dir in [dir.clone(), dir.join("clients")] {
        let shown = dir.display();
        match host::owner(&dir) {
            Err(_) if fs::symlink_metadata(&dir).is_err() => {
                found.error(service, format!("{shown} is missing although the filesystem is mounted: \"nfs-failoverctl takeover {}\" creates it", service.name));
                return;
            }
            Err(error) => found.error(service, error.to_string()),
            Ok(owner) if owner.0 != user.0 => found.error(
                service,
                format!(
                    "{shown} belongs to user {}, but rpc.statd runs as {}: \"chown -R {} {shown}\"",
                    owner.0, user.0, user.0
                ),
            ),
            Ok(_) => {}
        }
    }
    for dir in dir.ancestors().skip(1) {
        if !may(dir, user, 0o1) {
            found.error(
                service,
                format!(
                    "rpc.statd's user {} cannot enter {}: \"chmod o+x {}\"",
                    user.0,
                    dir.display(),
                    dir.display()
                ),
            );
        }
    }
    if let Ok(clients) = crate::statedir::StateDir::new(&service.state_dir(), service.ip).clients()
    {
        for garbage in clients.garbage {
            found.warn(
                service,
                format!("{}/clients: {garbage}: remove it", dir.display()),
            );
        }
    }
}

/// The configuration, as rpc.statd's callout sees it.
pub fn readable(path: &Path) -> Option<String> {
    let shown = path.display();
    (!may(path, (u32::MAX, u32::MAX), 0o4)).then(|| {
        format!("{shown} cannot be read by rpc.statd's user, so no client would be recorded: \"chmod o+r {shown}\"")
    })
}

/// Whether a user has a permission, of those of others. What cannot be seen is no reason to worry.
fn may(path: &Path, user: (u32, u32), permission: u32) -> bool {
    let Ok(metadata) = fs::metadata(path) else {
        return true;
    };
    let shift = match (metadata.uid() == user.0, metadata.gid() == user.1) {
        (true, _) => 6,
        (_, true) => 3,
        _ => 0,
    };
    user.0 == 0 || (metadata.mode() >> shift) & permission != 0
}
