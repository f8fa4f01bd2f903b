// SPDX-License-Identifier: GPL-2.0-only

//! The module: for this kernel, loaded, called.

use super::finding::{
    Finding,
    Sight, //
};
use super::{
    kernel,
    sight, //
};
use crate::host::Host;
use crate::nfsd::Nfsd;
use std::fs;
use std::io;
use std::path::PathBuf;

const COST: &str =
    "nothing can be taken over by this node, and what it serves cannot be released with its locks";

/// What the module was built for, as `modinfo` has it.
const STAMP: &str = "uts_version";

/// What was seen.
#[derive(Clone, Debug)]
pub struct Facts {
    /// `uname -r`.
    pub release: Sight<String>,
    /// `uname -v`.
    pub version: Sight<String>,
    /// The module for the kernel that runs.
    pub file: Sight<Option<PathBuf>>,
    /// For which build it was made; empty if it does not say.
    pub built_for: Sight<String>,
    /// Who has signed it; empty if nobody has.
    pub signer: Sight<String>,
    /// Whether the firmware wants signatures.
    pub secure_boot: Sight<bool>,
    /// Whether it is loaded.
    pub loaded: bool,
    /// What it says of itself: hooks and missed calls. [`None`] if it has no control files.
    pub says: Sight<Option<Says>>,
}

/// The last line of `failover_status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Says {
    /// Whether the kernel calls it.
    pub hooks: bool,
    /// Calls that it has missed.
    pub missed: Option<u64>,
}

impl Facts {
    /// Looks.
    pub fn gather(host: &Host) -> Self {
        let proc = host.proc().join("sys/kernel");
        let release = sight::text(&proc.join("osrelease"));
        let file = release
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|release| kernel::module_of(host, release));
        let field = |name: &str| match &file {
            Ok(Some(file)) => sight::said("modinfo", &["-F", name, &file.display().to_string()]),
            Ok(None) => Err("there is no module".into()),
            Err(why) => Err(why.clone()),
        };
        Self {
            version: sight::text(&proc.join("version")),
            built_for: field(STAMP),
            signer: field("signer"),
            secure_boot: secure_boot(host),
            loaded: host.sys().join("module/nfs_failover").exists(),
            says: says(&Nfsd::new(&host.nfsd)),
            release,
            file,
        }
    }
}

fn says(nfsd: &Nfsd) -> Sight<Option<Says>> {
    if nfsd.check().is_err() {
        return Ok(None);
    }
    let status = nfsd.status().map_err(|error| error.to_string())?;
    let totals = status.lines.iter().find(|line| line.kind == "totals");
    let totals = totals.ok_or("failover_status has no line \"totals\"")?;
    Ok(Some(Says {
        hooks: totals.get("hooks") == Some("live"),
        missed: totals.number("nmissed"),
    }))
}

/// The last byte of the variable is the answer.
fn secure_boot(host: &Host) -> Sight<bool> {
    let efi = host.sys().join("firmware/efi");
    if !efi.exists() {
        return Ok(false);
    }
    let variables = efi.join("efivars");
    let variable = variables.join("SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c");
    match fs::read(&variable) {
        Ok(value) => Ok(value.last() == Some(&1)),
        // Firmware without it has others. If there is none, they are not mounted.
        Err(error)
            if error.kind() == io::ErrorKind::NotFound
                && fs::read_dir(&variables).is_ok_and(|mut all| all.next().is_some()) =>
        {
            Ok(false)
        }
        Err(error) => Err(format!("cannot read {}: {error}", variable.display())),
    }
}

/// Judges.
pub fn judge(facts: &Facts) -> Vec<Finding> {
    let mut found = vec![file(facts)];
    if matches!(facts.file, Ok(Some(_))) {
        found.extend([build(facts), signature(facts)]);
    }
    found.extend(live(facts));
    found
}

fn file(facts: &Facts) -> Finding {
    let shown = facts.release.as_deref().unwrap_or("this kernel");
    match &facts.file {
        Ok(Some(file)) => Finding::ok("module", file.display().to_string()),
        Ok(None) => Finding::error(
            "module",
            format!("there is none for {shown}"),
            COST,
            format!("apt install nfs-failover-modules-{shown}, or dkms autoinstall"),
        ),
        Err(why) => Finding::unknown("module", why, COST, "modinfo nfs_failover"),
    }
}

/// Two builds of one release are not told apart when a module is loaded.
fn build(facts: &Facts) -> Finding {
    const COST: &str = "it may look for what the kernel has elsewhere, and the node may die of it";
    const HEAL: &str = "build it for this kernel: dkms build --force, or make module";
    match (&facts.built_for, &facts.version) {
        (Ok(built), Ok(runs)) if built == runs => {
            Finding::ok("build", format!("the module is of this very build, {runs}"))
        }
        (Ok(built), Ok(_)) if built.is_empty() => Finding::unknown(
            "build",
            "the module does not say for which build of the kernel it was made",
            COST,
            HEAL,
        ),
        (Ok(built), Ok(runs)) => Finding::error(
            "build",
            format!("the module is for \"{built}\", and \"{runs}\" runs"),
            COST,
            HEAL,
        ),
        (Err(why), _) | (_, Err(why)) => Finding::unknown("build", why, COST, HEAL),
    }
}

fn signature(facts: &Facts) -> Finding {
    const COST: &str = "the module cannot be loaded at the next boot";
    const HEAL: &str = "mokutil --import the certificate of a key that signs it, then reboot";
    match (&facts.secure_boot, &facts.signer) {
        (Ok(false), _) => Finding::ok("signature", "Secure Boot is off, none is needed"),
        (Ok(true), Ok(signer)) if !signer.is_empty() && facts.loaded => Finding::ok(
            "signature",
            format!("of \"{signer}\", which this machine trusts"),
        ),
        (Ok(true), Ok(signer)) if !signer.is_empty() => Finding::warning(
            "signature",
            format!("of \"{signer}\"; Secure Boot is on, and the module is not loaded"),
            COST,
            "mokutil --list-enrolled: if the key is not there, mokutil --import it and reboot",
        ),
        (Ok(true), Ok(_)) => Finding::warning(
            "signature",
            "Secure Boot is on, and the module has none",
            COST,
            HEAL,
        ),
        (Err(why), _) | (_, Err(why)) => Finding::unknown("signature", why, COST, HEAL),
    }
}

fn live(facts: &Facts) -> Vec<Finding> {
    let says = match &facts.says {
        Ok(Some(says)) => says,
        Ok(None) => {
            let (what, heal) = match facts.loaded {
                false => ("the module is not loaded", "modprobe nfs_failover"),
                true => (
                    "it is loaded, but the nfsd filesystem is not mounted",
                    "systemctl start nfs-server",
                ),
            };
            return vec![Finding::error("hooks", what, COST, heal)];
        }
        Err(why) => {
            return vec![Finding::unknown(
                "hooks",
                why,
                COST,
                "cat /proc/fs/nfsd/failover_status",
            )]
        }
    };
    let hooks = match says.hooks {
        true => Finding::ok("hooks", "the kernel calls the module"),
        false => Finding::error(
            "hooks",
            "the kernel has stopped calling the module (hooks=dead)",
            "no recovery can begin here, and clients of everything wait while a unit is active",
            "sysctl kernel.ftrace_enabled=1; if that does not help, move the services away and reboot",
        ),
    };
    let missed = match says.missed {
        Some(0) => Finding::ok("missed calls", "none"),
        Some(missed) => Finding::warning(
            "missed calls",
            format!("the kernel has not called the module {missed} times (nmissed)"),
            "each may have been a lock that a rival got during a recovery",
            "dmesg | grep nfs_failover; end what else traces the kernel",
        ),
        None => Finding::unknown(
            "missed calls",
            "failover_status does not say",
            "a rival may have got a lock during a recovery",
            "cat /proc/fs/nfsd/failover_status",
        ),
    };
    vec![hooks, missed]
}
