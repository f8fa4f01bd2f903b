// SPDX-License-Identifier: GPL-2.0-only

//! The NFS services of this node: what clients need to get their locks back.

mod local;

use crate::doctor::finding::Finding;
use crate::host::Host;
use crate::inuse::processes::{
    comm,
    pids, //
};
use crate::nfsd::Nfsd;
use crate::program;
use crate::status::line::Line;
use local::{
    answers,
    port,
    Program,
    Trouble,
    TCP,
    UDP, //
};
use std::fmt;
use std::fs;
use std::path::{
    Path,
    PathBuf, //
};
use std::time::{
    Duration,
    Instant, //
};

const STATD: Program = Program {
    number: 100_024,
    version: 1,
};
const MOUNTD: Program = Program {
    number: 100_005,
    version: 3,
};
const LOCKD: Program = Program {
    number: 100_021,
    version: 4,
};

/// What is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    what: String,
    heal: String,
}

impl Problem {
    fn new(what: impl Into<String>, heal: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            heal: heal.into(),
        }
    }

    /// As the doctor says it.
    pub fn finding(&self, check: &'static str, cost: &str) -> Finding {
        Finding::error(check, &self.what, cost, &self.heal)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: \"{}\"", self.what, self.heal)
    }
}

/// The ports at which rpcbind of this machine knows statd, mountd and lockd, by UDP and TCP; 0 if it
/// knows none.
pub fn ports(host: &Host) -> Vec<(&'static str, &'static str, Result<u16, String>)> {
    let mut found = Vec::new();
    for (name, program) in [("statd", STATD), ("mountd", MOUNTD), ("lockd", LOCKD)] {
        for (protocol, number) in [("udp", UDP), ("tcp", TCP)] {
            let port = port(host.rpcbind_port, program, number);
            let port = port.map(|port| port.unwrap_or(0));
            found.push((name, protocol, port.map_err(|trouble| trouble.to_string())));
        }
    }
    found
}

/// What is wrong with lockd. It has one thread, which may wait for a disk that does not answer; who
/// has it do something would wait with it.
pub fn lockd(host: &Host) -> Option<String> {
    lockd_within(host, Duration::ZERO)
}

/// The same for who has time to ask more than once. It waits for statd's callout for each client that
/// is new, and for a while it may be silent for no other reason.
pub fn lockd_within(host: &Host, patience: Duration) -> Option<String> {
    let trouble = lockd_answers(host, patience).err()?;
    Some(said("lockd", "nfs-server", &trouble).to_string())
}

fn lockd_answers(host: &Host, patience: Duration) -> Result<(), Trouble> {
    let deadline = Instant::now() + patience;
    loop {
        match answers(host.rpcbind_port, LOCKD) {
            Err(Trouble::Silent(_)) if Instant::now() < deadline => {}
            said => return said,
        }
    }
}

/// The same for a move that can wait; while clients of any filesystem reclaim, silence is no trouble.
fn busy_lockd_answers(host: &Host, patience: Duration) -> Result<(), Trouble> {
    let recover = || {
        let status = Nfsd::new(&host.nfsd).status();
        status.is_ok_and(|status| status.units().any(Line::recovers))
    };
    match lockd_answers(host, if recover() { Duration::ZERO } else { patience }) {
        Err(Trouble::Silent(_)) if !patience.is_zero() && recover() => Ok(()),
        said => said,
    }
}

fn said(name: &str, unit: &str, trouble: &Trouble) -> Problem {
    let (name, unit) = match trouble {
        Trouble::Rpcbind(_) => ("what clients need", "rpcbind nfs-server"),
        _ => (name, unit),
    };
    let why = match (name, trouble) {
        ("lockd", Trouble::Silent(_)) => {
            "; a disk that does not answer may keep its thread, see the kernel log"
        }
        _ => "",
    };
    Problem::new(
        format!("{name} is not running: {trouble}{why}"),
        format!("systemctl restart {unit}"),
    )
}

/// Everything that is wrong, a sentence for each.
pub fn problems(host: &Host) -> Vec<String> {
    problems_within(host, Duration::ZERO)
}

/// The same, if lockd may be silent for so long, and as long as it likes while clients reclaim: it is
/// busy with them.
pub fn problems_within(host: &Host, patience: Duration) -> Vec<String> {
    let mut found = running_within(host, patience);
    found.extend(callout(host));
    found.iter().map(Problem::to_string).collect()
}

/// What does not run that clients need.
pub fn running(host: &Host) -> Vec<Problem> {
    running_within(host, Duration::ZERO)
}

fn running_within(host: &Host, patience: Duration) -> Vec<Problem> {
    let mut found = nfsd(host);
    let mut rpc = |name: &str, unit: &str, result: Result<(), Trouble>| {
        let Err(trouble) = result else { return true };
        found.push(said(name, unit, &trouble));
        !matches!(trouble, Trouble::Rpcbind(_))
    };
    let port = host.rpcbind_port;
    let _ = rpc("rpc.statd", "rpc-statd", answers(port, STATD))
        && rpc("rpc.mountd", "nfs-mountd", answers(port, MOUNTD))
        && rpc("lockd", "nfs-server", busy_lockd_answers(host, patience));
    found
}

/// A word in a file of nfsd, or nothing.
fn read(host: &Host, name: &str) -> String {
    let text = fs::read(host.nfsd.join(name)).unwrap_or_default();
    String::from_utf8_lossy(&text).trim().to_string()
}

/// Whether nfsd answers nobody.
pub fn has_no_threads(host: &Host) -> bool {
    matches!(read(host, "threads").as_str(), "" | "0")
}

fn nfsd(host: &Host) -> Vec<Problem> {
    let mut found = Vec::new();
    if has_no_threads(host) {
        found.push(Problem::new(
            "nfsd has no threads",
            "systemctl start nfs-server",
        ));
    } else if read(host, "versions")
        .split(' ')
        .any(|version| version == "-3")
    {
        found.push(Problem::new(
            "nfsd does not serve NFSv3 (-3 in /proc/fs/nfsd/versions)",
            "set vers3=y in the section [nfsd] of /etc/nfs.conf; systemctl restart nfs-server",
        ));
    }
    found
}

/// Whether rpc.statd calls us.
pub fn callout(host: &Host) -> Option<Problem> {
    const HEAL: &str = "nfs-failoverctl setup";
    let found = pids(host)
        .into_iter()
        .find(|pid| comm(host, *pid) == "rpc.statd");
    let Some(pid) = found else {
        // It answers, or that it does not was said: it is in another PID namespace.
        return None;
    };
    let text = fs::read(host.proc().join(format!("{pid}/cmdline"))).unwrap_or_default();
    let words: Vec<_> = text
        .split(|byte| *byte == 0)
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    let program = match by_command_line(&words) {
        Some(program) => program,
        None => match program::output("nfsconf", &["--get", "statd", "ha-callout"]) {
            Ok(said) if !said.trim().is_empty() => said.trim().into(),
            _ => return Some(Problem::new(
                format!("rpc.statd (process {pid}) has no ha-callout, so no client would be on record after a crash of this node"),
                HEAL,
            )),
        },
    };
    let target = fs::canonicalize(&program);
    if target.as_ref().is_ok_and(|target| is_ours(target)) {
        return None;
    }
    let shown = program.display();
    Some(match target {
        Ok(_) => Problem::new(
            format!("the ha-callout of rpc.statd is {shown}, which is not nfs-failoverctl: no client would be on record after a crash of this node"),
            HEAL,
        ),
        Err(error) => Problem::new(
            format!("the ha-callout of rpc.statd, {shown}, cannot be run ({error})"),
            "make tools_install, or apt install nfs-failover-tools",
        ),
    })
}

fn by_command_line(words: &[String]) -> Option<PathBuf> {
    words.iter().enumerate().find_map(|(at, word)| {
        let next = || words.get(at + 1).map(PathBuf::from);
        match word.as_str() {
            "-H" | "--ha-callout" => next(),
            _ => word
                .strip_prefix("--ha-callout=")
                .or_else(|| word.strip_prefix("-H"))
                .map(PathBuf::from),
        }
    })
}

fn is_ours(target: &Path) -> bool {
    std::env::current_exe()
        .and_then(fs::canonicalize)
        .is_ok_and(|ours| ours == target || ours.file_name() == target.file_name())
}
