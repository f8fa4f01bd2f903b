// SPDX-License-Identifier: GPL-2.0-only

//! Everything that is wrong with the configuration, at once: `config check`, and a part of `doctor`.

use crate::config::{
    given_twice,
    Config,
    Service, //
};
use crate::doctor::finding::{
    Finding,
    Verdict,
    EDIT, //
};
use crate::exporttable::Table;
use crate::host::{
    self,
    Host, //
};
use crate::key::Key;
use crate::policy::command::MAX_SECONDS;
use crate::scope::{
    self,
    Scope, //
};
use crate::statedir::StateDir;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{
    Component,
    Path, //
};

const CHECK: &str = "config";

const COST: &str =
    "the service cannot be moved as it is written there, or its clients lose locks by it";

const NOT_RECORDED: &str =
    "NFSv3 clients are not on record: after a crash they are not told to reclaim, and lose their locks";

/// What was found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What has to be put right, and what may be meant like that.
    pub list: Vec<Finding>,
}

impl Findings {
    fn error(&mut self, service: &Service, text: impl Into<String>) {
        self.list
            .push(Finding::error(CHECK, text, COST, EDIT).of(&service.name));
    }

    fn warn(&mut self, service: &Service, text: impl Into<String>) {
        self.list
            .push(Finding::warning(CHECK, text, COST, EDIT).of(&service.name));
    }

    fn lines(&self, verdict: Verdict) -> Vec<String> {
        let found = self.list.iter();
        found
            .filter(|finding| finding.verdict == verdict)
            .map(Finding::line)
            .collect()
    }

    /// What has to be put right.
    pub fn errors(&self) -> Vec<String> {
        self.lines(Verdict::Error)
    }

    /// What may be meant like that.
    pub fn warnings(&self) -> Vec<String> {
        self.lines(Verdict::Warning)
    }
}

/// Reads a configuration and checks all that `config check` does.
pub fn file(path: &Path, host: &Host) -> Findings {
    match Config::load(Some(path)) {
        Ok(config) => {
            let mut found = check(&config, host);
            found.list.extend(readable(path));
            let statd = statd_elsewhere(&host.proc(), &config.statd_dir);
            found.list.extend(statd);
            found
                .list
                .extend(crate::names::statd_asks(&host.proc()).map(asks));
            let enforce = host.sys().join("fs/selinux/enforce");
            found.list.extend(selinux(&enforce));
            found.list.extend(judge_scope(&scope::look(host)));
            found
        }
        Err(error) => Findings {
            list: vec![broken(&error.to_string())],
        },
    }
}

/// A configuration that cannot be read.
pub fn broken(why: &str) -> Finding {
    Finding::error(CHECK, why, "nothing can be moved by name", EDIT)
}

/// The scope, of which `doctor` says more.
fn judge_scope(scope: &Scope) -> Option<Finding> {
    let heal = "nfs-failoverctl setup --scope NAME";
    let wrong = scope
        .problem()
        .map(|what| Finding::error(CHECK, what, COST, heal));
    wrong.or_else(|| {
        let what = scope.note()?;
        Some(Finding::warning(CHECK, what, COST, "nfsdctl threads"))
    })
}

fn asks(said: String) -> Finding {
    Finding::warning(CHECK, said, "locks of all NFSv3 clients wait", "")
}

/// Checks a configuration that could be read, against this machine.
pub fn check(config: &Config, host: &Host) -> Findings {
    let mut found = Findings::default();
    if config.services.is_empty() {
        found.list.push(Finding::warning(
            CHECK,
            "there is no [[service]], so nothing can be named by name",
            "nothing can be moved by name",
            EDIT,
        ));
    }
    let table = Table::read(host, config);
    if let Err(error) = &table {
        found.list.push(Finding::error(
            CHECK,
            error.to_string(),
            COST,
            "exportfs -s",
        ));
    }
    key(&mut found, config);
    let user = host::statd_user(&config.statd_dir);
    if let Err(error) = &user {
        found
            .list
            .push(Finding::error(CHECK, error.to_string(), NOT_RECORDED, EDIT));
    }
    for (at, service) in config.services.iter().enumerate() {
        for other in &config.services[..at] {
            unlike(&mut found, service, other);
        }
        words(&mut found, service);
        paths(&mut found, service);
        numbers(&mut found, service);
        if let Some(late) = crate::grace::too_short(host, service) {
            found.warn(service, late);
        }
        if let Ok(Some(file)) = crate::export::at_boot(host, &service.path) {
            found.warn(service, format!("{} is in {}, so it is exported at boot, before it is mounted: leave that to takeover or a cluster manager", service.path.display(), file.display()));
        }
        if let (Ok(table), Some(fsid)) = (&table, service.fsid) {
            for misfit in table.misfits(&service.path, fsid) {
                found.error(service, misfit);
            }
        }
        if let Ok(user) = user {
            on_this_machine(&mut found, service, host, user);
        }
    }
    found
}

/// What two services must not, or must, have in common.
fn unlike(found: &mut Findings, service: &Service, other: &Service) {
    let same_path = service.path == other.path;
    if service.name == other.name {
        found.error(service, given_twice(&service.name));
    }
    if service.ip == other.ip {
        behind_one_address(found, service, other);
    }
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
    if !same_path && service.state_dir() == other.state_dir() {
        found.error(
            service,
            format!(
                "\"{}\" has the same state_dir: each filesystem has a list of locks of its own",
                other.name
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

/// What two services with one floating IP must have in common: they move together.
fn behind_one_address(found: &mut Findings, service: &Service, other: &Service) {
    let ip = service.ip;
    if service.path == other.path {
        found.error(
            service,
            format!("\"{}\" has the same path and ip: a service is one filesystem by one address, remove one", other.name),
        );
        return;
    }
    for one in [service, other] {
        if one.fsid.is_none() {
            found.error(
                service,
                format!(
                    "\"{}\" shares {ip} and has no fsid, without which they cannot move together",
                    one.name
                ),
            );
        }
    }
    if (&service.interface, service.prefix) != (&other.interface, other.prefix) {
        found.error(
            service,
            format!("\"{}\" has the ip {ip}, too, but another interface or prefix: write the same, the address is one", other.name),
        );
    }
    for (what, mine, its, then) in [
        (
            "grace",
            service.grace,
            other.grace,
            "the longer one is used, so write it",
        ),
        ("fence", service.fence, other.fence, "so use the same"),
    ] {
        if mine != its {
            found.warn(
                service,
                format!("\"{}\" has the ip {ip}, too, but another {what}: their clients come back at the same time, {then}", other.name),
            );
        }
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
            Some((client, _)) if crate::names::is_name(client) => found.warn(service, format!("export \"{export}\" is for a name: if name servers do not answer, rpc.mountd keeps clients waiting; use an address or a network")),
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
    let state = StateDir::of(service).if_mounted(host);
    for problem in state.problems(user) {
        let heal = format!("nfs-failoverctl takeover {}", service.name);
        let finding = Finding::error(CHECK, problem, NOT_RECORDED, heal);
        found.list.push(finding.of(&service.name));
    }
    let state_dir = service.state_dir();
    for dir in closed_to(way(service, &state_dir), user) {
        let finding = Finding::error(CHECK, dir.what(user), NOT_RECORDED, dir.heal());
        found.list.push(finding.of(&service.name));
    }
    if let Ok(clients) = state.clients() {
        for garbage in clients.garbage {
            found.warn(
                service,
                format!("{}/clients: {garbage}: remove it", state.path().display()),
            );
        }
    }
}

/// A directory that rpc.statd's user cannot enter.
struct Closed<'a>(&'a Path);

impl Closed<'_> {
    fn what(&self, user: (u32, u32)) -> String {
        format!(
            "rpc.statd's user {} cannot enter {}",
            user.0,
            self.0.display()
        )
    }

    fn heal(&self) -> String {
        format!("chmod o+x {}", self.0.display())
    }
}

/// What keeps rpc.statd's user from entering the state directory of a service. What is below the
/// mount point is ours, or another problem.
pub fn cannot_pass(service: &Service, user: (u32, u32)) -> Vec<String> {
    let said = |dir: Closed| format!("{}: \"{}\"", dir.what(user), dir.heal());
    let state_dir = service.state_dir();
    closed_to(way(service, &state_dir), user)
        .map(said)
        .collect()
}

fn way<'a>(service: &'a Service, state_dir: &'a Path) -> &'a Path {
    match state_dir.starts_with(&service.path) {
        true => &service.path,
        false => state_dir,
    }
}

fn closed_to(way: &Path, user: (u32, u32)) -> impl Iterator<Item = Closed<'_>> {
    way.ancestors()
        .filter(move |dir| !may(dir, user, 0o1))
        .map(Closed)
}

/// What keeps a user from running a program: it, or directories above it.
pub fn cannot_run(program: &Path, user: (u32, u32)) -> Vec<String> {
    let closed = program.ancestors().filter(|path| !may(path, user, 0o1));
    closed.map(|path| path.display().to_string()).collect()
}

/// rpc.statd runs with another directory than the one that we look into.
pub fn statd_elsewhere(proc: &Path, statd_dir: &Path) -> Option<Finding> {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.into());
    fs::read_dir(proc)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|process| {
            fs::read(process.join("comm")).is_ok_and(|comm| comm.trim_ascii_end() == b"rpc.statd")
        })
        // It works in its directory.
        .filter_map(|process| fs::read_link(process.join("cwd")).ok())
        .find(|dir| real(dir) != real(statd_dir))
        .map(|dir| {
            let what = format!(
                "rpc.statd works in {}, not in {}: set statd_dir, or state-directory-path in the section statd of nfs.conf",
                dir.display(),
                statd_dir.display()
            );
            Finding::error(CHECK, what, NOT_RECORDED, EDIT)
        })
}

/// The kernel refuses what its policy does not know of.
pub fn selinux(enforce: &Path) -> Option<Finding> {
    let enforces = fs::read(enforce).is_ok_and(|said| said.trim_ascii() == b"1");
    enforces.then(|| {
        Finding::warning(
            CHECK,
            "SELinux is enforcing: rpc.statd may neither run its callout nor write records unless the policy lets it, see \"SELinux\" in operations.rst",
            NOT_RECORDED,
            "ausearch -m avc -c statd-callout",
        )
    })
}

/// What is wrong with the key: an error, or a reason to have one.
fn key(found: &mut Findings, config: &Config) {
    let root = |service: &Service| {
        let mut exports = service.exports.iter();
        exports.any(|export| export.contains("no_root_squash"))
    };
    match Key::load(&config.key_file) {
        Err(error) => found.list.push(Finding::error(
            CHECK,
            error.to_string(),
            "no list of locks goes along with what moves: everybody waits as after a crash",
            "",
        )),
        Ok(None) if config.services.iter().any(root) => found.list.push(Finding::warning(
            CHECK,
            format!(
                "there is no {}, and clients are root on exports (no_root_squash): they can forge the list of locks that goes along, see \"key_file\" in operations.rst",
                config.key_file.display()
            ),
            "a client that is root can have others lose their locks in a move",
            "(umask 077; head -c 32 /dev/urandom | base64 >/etc/nfs-failover.key), then copy it to all nodes",
        )),
        Ok(_) => {}
    }
}

/// The configuration, as rpc.statd's callout sees it.
pub fn readable(path: &Path) -> Option<Finding> {
    let shown = path.display();
    (!may(path, (u32::MAX, u32::MAX), 0o4)).then(|| {
        Finding::error(
            CHECK,
            format!("{shown} cannot be read by rpc.statd's user, so no client would be recorded"),
            NOT_RECORDED,
            format!("chmod o+r {shown}"),
        )
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
