// SPDX-License-Identifier: GPL-2.0-only

//! What the tests share: scratch directories with a filesystem and an nfsd that are not there.

use std::fs;
use std::path::{
    Path,
    PathBuf, //
};
use std::process::{
    Command,
    Output, //
};
use std::sync::atomic::{
    AtomicU32,
    Ordering, //
};

/// The command.
pub const CTL: &str = env!("CARGO_BIN_EXE_nfs-failoverctl");

/// An address of this machine on which nobody listens.
pub const HERE: &str = "127.0.0.1";

/// One that is elsewhere.
pub const ELSEWHERE: &str = "203.0.113.77";

/// A directory that goes away.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir =
            std::env::temp_dir().join(format!("nfs-failoverctl-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        Self(dir)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A node with one service, s1.
pub struct Node {
    pub dir: Scratch,
}

impl Node {
    /// `options` are put in front of the service.
    pub fn new(ip: &str, options: &str) -> Self {
        let dir = Scratch::new();
        let at = |name: &str| dir.path(name).display().to_string();
        for sub in ["srv", "statd/sm", "statd/sm.bak", "nfsd", "bin"] {
            fs::create_dir_all(dir.path(sub)).unwrap();
        }
        dir.write("config", &format!(
            "{options}\nstatd_dir = \"{}\"\n[[service]]\nname = \"s1\"\npath = \"{}\"\nfsid = \"1234\"\nip = \"{ip}\"\n\
             interface = \"eth9\"\nprefix = 24\nexports = [\"10.0.0.0/8:rw\"]\ndevice = \"/dev/sdz\"\n",
            at("statd"), at("srv")
        ));
        dir.write(
            "mountinfo",
            &format!("22 1 8:1 / {} rw - ext4 /dev/sdz rw\n", at("srv")),
        );
        dir.write(
            "nfsd/failover_status",
            "totals units=0 hooks=live nmissed=0\n",
        );
        for file in ["nlm_set_igrace", "resume_ip", "floating_ips"] {
            dir.write(&format!("nfsd/{file}"), "");
        }
        dir.write("nfsd/lock_manifest", "");
        // A read after a write goes on behind it.
        dir.write(
            "nfsd/nlm_unlock",
            &format!(
                "{}locks=2 blocked=0 shares=0 files=1 manifest=complete\n",
                "x".repeat("1234 fence=90\n".len())
            ),
        );
        Self { dir }
    }

    /// What the kernel would say to a question for the manifest of 1234.
    pub fn has_manifest(&self) {
        self.dir.write(
            "nfsd/lock_manifest",
            &format!("{}{MANIFEST}", "x".repeat("1234\n".len())),
        );
    }

    /// Commands of the system that only say that they were called.
    pub fn fake(&self, names: &[&str], body: &str) {
        for name in names {
            let log = self.dir.path(&format!("nfsd/cmd.{name}"));
            let text = format!("#!/bin/sh\necho \"$@\" >>{}\n{body}\n", log.display());
            let path = self.dir.write(&format!("bin/{name}"), &text);
            Command::new("chmod").arg("755").arg(path).status().unwrap();
        }
    }

    pub fn command(&self) -> Command {
        let mut command = Command::new(CTL);
        let old = std::env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{}:{old}", self.dir.path("bin").display()))
            .arg("--config")
            .arg(self.dir.path("config"))
            .arg("--nfsd")
            .arg(self.dir.path("nfsd"))
            .arg("--mountinfo")
            .arg(self.dir.path("mountinfo"));
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::new(self.command().args(arguments).output().unwrap())
    }
}

/// A manifest of two locks.
pub const MANIFEST: &str = "\
nfs-failover-manifest 1
unit fsid=1234 phase=released taken=1763731234.000000001 valid=59
lock fsid=1234 fh=01000101d2040000 client=10.77.0.13 name=c1 server=10.77.0.100 svid=3 type=write start=0 end=9
lock fsid=1234 fh=01000101d2040000 client=10.77.0.14 name=c2 server=10.77.0.100 svid=3 type=write start=10 end=19
end locks=2 blocked=0 shares=0
";

/// What a command left.
#[derive(Debug)]
pub struct Ran {
    pub exit: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn new(output: Output) -> Self {
        Self {
            exit: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into(),
            err: String::from_utf8_lossy(&output.stderr).into(),
        }
    }

    /// The names and results of the steps.
    pub fn steps(&self) -> Vec<(String, String)> {
        let json: serde_json::Value = serde_json::from_str(&self.out).expect(&self.out);
        let steps = json["steps"].as_array().expect(&self.out);
        let word = |step: &serde_json::Value, key: &str| step[key].as_str().unwrap().to_string();
        steps
            .iter()
            .map(|step| (word(step, "step"), word(step, "result")))
            .collect()
    }

    pub fn result(&self, step: &str) -> String {
        let steps = self.steps();
        let found = steps.into_iter().find(|(name, _)| name == step);
        found.map(|(_, result)| result).unwrap_or_default()
    }
}

/// The trixie root has only busybox's.
const MOUNT: &str = "command -v mount >/dev/null || mount() { busybox mount \"$@\"; }
    mount --make-rprivate / 2>/dev/null || true";

/// Runs a shell script as root in namespaces of its own. None if we are not root.
pub fn as_root(script: &str, directory: &Path) -> Option<Ran> {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: needs root");
        return None;
    }
    let output = Command::new("unshare")
        // In a chroot, unshare cannot make mounts private; who made the chroot has done it.
        .args([
            "--net",
            "--mount",
            "--propagation",
            "unchanged",
            "sh",
            "-euc",
        ])
        .arg(format!("{MOUNT}\n{script}"))
        .env("CTL", CTL)
        .env(
            "RESPONDERS",
            concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../tests/selftests/bin/nsm_responders.py"
            ),
        )
        .current_dir(directory)
        .output()
        .unwrap();
    Some(Ran::new(output))
}
