// SPDX-License-Identifier: GPL-2.0-only

//! The kernel that runs, and those that the next boots may take.

use super::finding::{
    Finding,
    Sight, //
};
use super::sight;
use crate::host::Host;
use std::cmp::Ordering;
use std::fs;
use std::path::PathBuf;

/// The series that the module knows.
pub const SERIES: [&str; 2] = ["7.2", "7.3"];

/// The file of a module of a kernel, as modprobe finds it.
pub const MODULE: &str = "nfs_failover.ko";

const COST: &str = "nothing can be taken over by this node: what it is to take over stays down";

/// What was seen.
#[derive(Clone, Debug)]
pub struct Facts {
    /// `uname -r`.
    pub release: Sight<String>,
    /// `uname -m`.
    pub machine: Sight<String>,
    /// Whether functions can be hooked.
    pub ftrace: Sight<bool>,
    /// All kernels that are installed.
    pub installed: Sight<Vec<Installed>>,
    /// Whether `ss -K` works.
    pub destroys: Sight<bool>,
}

/// A kernel that is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// `uname -r` once it runs.
    pub release: String,
    /// The module for it.
    pub module: Option<PathBuf>,
}

impl Facts {
    /// Looks.
    pub fn gather(host: &Host) -> Self {
        let proc = host.proc().join("sys/kernel");
        let release = sight::text(&proc.join("osrelease"));
        let config = release.as_ref().map_err(Clone::clone).and_then(|release| {
            sight::text(&host.root.join("boot").join(format!("config-{release}")))
        });
        Self {
            machine: sight::text(&proc.join("arch")),
            ftrace: sight::text(&proc.join("ftrace_enabled")).map(|word| word != "0"),
            installed: installed(host),
            destroys: config.map(|text| {
                text.lines()
                    .any(|line| line == "CONFIG_INET_DIAG_DESTROY=y")
            }),
            release,
        }
    }
}

fn installed(host: &Host) -> Sight<Vec<Installed>> {
    let modules = host.root.join("lib/modules");
    let entries = fs::read_dir(&modules)
        .map_err(|error| format!("cannot read {}: {error}", modules.display()))?;
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let Ok(release) = entry.file_name().into_string() else {
            continue;
        };
        // One that was removed leaves its directory if something is left there.
        let image = host.root.join("boot").join(format!("vmlinuz-{release}"));
        if image.exists() {
            found.push(Installed {
                module: module_of(host, &release)?,
                release,
            });
        }
    }
    Ok(found)
}

/// The module of a kernel, as depmod has listed it.
pub fn module_of(host: &Host, release: &str) -> Sight<Option<PathBuf>> {
    let dir = host.root.join("lib/modules").join(release);
    let list = sight::file(&dir.join("modules.dep"))?.unwrap_or_default();
    let listed = list
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(file, _)| file)
        .find(|file| {
            let name = file.rsplit('/').next().unwrap_or_default();
            // It may be compressed.
            name.strip_prefix(MODULE)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        });
    Ok(listed.map(|file| dir.join(file)))
}

/// Judges.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut found = vec![supported(facts), hooks(facts), next(facts)];
    found.extend(connections(facts));
    found
}

fn supported(facts: &Facts) -> Finding {
    const HEAL: &str = "apt install -t trixie-backports linux-image-amd64; reboot";
    let (release, machine) = match (&facts.release, &facts.machine) {
        (Ok(release), Ok(machine)) => (release, machine),
        (Err(why), _) | (_, Err(why)) => return Finding::unknown("kernel", why, COST, "uname -rm"),
    };
    if machine != "x86_64" {
        let what = format!("this is {machine}, and the module is for x86_64");
        return Finding::error("kernel", what, COST, "use another machine");
    }
    match is_supported(release) {
        true => Finding::ok("kernel", format!("{release} is one that the module knows")),
        false => Finding::error(
            "kernel",
            format!(
                "{release} runs, and the module knows {} only",
                SERIES.join(" and ")
            ),
            COST,
            HEAL,
        ),
    }
}

fn is_supported(release: &str) -> bool {
    SERIES.iter().any(|series| {
        let rest = release.strip_prefix(series);
        rest.is_some_and(|rest| !rest.starts_with(|next: char| next.is_ascii_digit()))
    })
}

fn hooks(facts: &Facts) -> Finding {
    const HEAL: &str = "sysctl kernel.ftrace_enabled=1";
    match &facts.ftrace {
        Ok(true) => Finding::ok("ftrace", "functions of the kernel can be hooked"),
        Ok(false) => Finding::error(
            "ftrace",
            "it is switched off (kernel.ftrace_enabled is 0)",
            "the module cannot be loaded, or its hooks are dead: no recovery can begin, and what is served during one waits",
            HEAL,
        ),
        Err(why) => Finding::unknown("ftrace", why, COST, HEAL),
    }
}

fn next(facts: &Facts) -> Finding {
    let (release, installed) = match (&facts.release, &facts.installed) {
        (Ok(release), Ok(installed)) => (release, installed),
        (Err(why), _) | (_, Err(why)) => {
            return Finding::unknown("next kernel", why, COST, "ls /lib/modules")
        }
    };
    // Who has several flavours chooses by hand which to boot.
    let newer = installed.iter().filter(|other| {
        flavour(&other.release) == flavour(release)
            && by_number(&other.release, release) == Ordering::Greater
    });
    let (with, without): (Vec<_>, Vec<_>) = newer.partition(|kernel| kernel.module.is_some());
    let names = |kernels: &[&Installed]| {
        let names: Vec<_> = kernels.iter().map(|k| k.release.as_str()).collect();
        names.join(", ")
    };
    match (with.is_empty(), without.last()) {
        (_, Some(last)) => Finding::warning(
            "next kernel",
            format!("{} is installed, is newer than the one that runs, and has no module", names(&without)),
            "after the next reboot nothing can be taken over by this node, and nothing is released with its locks",
            format!("apt install nfs-failover-modules-{0}, or dkms autoinstall -k {0}, before the reboot", last.release),
        ),
        (true, None) => Finding::ok("next kernel", "none is newer than the one that runs"),
        (false, None) => Finding::ok("next kernel", format!("{} has a module", names(&with))),
    }
}

fn connections(facts: &Facts) -> Option<Finding> {
    match facts.destroys {
        Ok(false) => Some(Finding::info(
            "connections",
            "this kernel cannot end connections (CONFIG_INET_DIAG_DESTROY is not set), so what release --address leaves of those to an address stays here when that has gone, and \"ss -K\" does nothing",
        )),
        _ => None,
    }
}

/// What is behind the version: `amd64` or `cloud-amd64`.
fn flavour(release: &str) -> Vec<&str> {
    let is_number = |word: &str| {
        let word = word.strip_prefix("rc").unwrap_or(word);
        word.starts_with(|first: char| first.is_ascii_digit())
    };
    let words = release.split('-').skip(1);
    words.filter(|word| !is_number(word)).collect()
}

/// Compares releases number by number: 7.3.10 is newer than 7.3.4.
pub fn by_number(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (one, other);
    loop {
        let (first, rest) = part(one);
        let (second, others) = part(other);
        if first.is_empty() || second.is_empty() {
            return first.len().cmp(&second.len());
        }
        let order = match (first.parse::<u64>(), second.parse::<u64>()) {
            (Ok(first), Ok(second)) => first.cmp(&second),
            _ => first.cmp(second),
        };
        if order != Ordering::Equal {
            return order;
        }
        (one, other) = (rest, others);
    }
}

/// A number, or what is between numbers, and the rest.
fn part(text: &str) -> (&str, &str) {
    let digits = text.starts_with(|first: char| first.is_ascii_digit());
    let end = text.find(|next: char| next.is_ascii_digit() != digits);
    text.split_at(end.unwrap_or(text.len()))
}
