// SPDX-License-Identifier: GPL-2.0-only

//! What the tests share: scratch directories with a filesystem and an nfsd that are not there.

use nfs_failoverctl::config::{
    Config,
    Service, //
};
use nix::sys::inotify::{
    AddWatchFlags,
    InitFlags,
    Inotify, //
};
use std::collections::BTreeSet;
use std::fs;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
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
use std::sync::{
    Arc,
    Mutex, //
};
use std::thread;
use std::time::Duration;

/// The command.
pub const CTL: &str = env!("CARGO_BIN_EXE_nfs-failoverctl");

/// An address of this machine on which nobody listens.
pub const HERE: &str = "127.0.0.1";

/// One that is elsewhere.
pub const ELSEWHERE: &str = "203.0.113.77";

/// Which boot of the node this is.
pub const BOOT: &str = "0a1b2c3d-0000-4000-8000-000000000001";

/// And one before it.
pub const OTHER_BOOT: &str = "0a1b2c3d-0000-4000-8000-000000000002";

/// The floating IP of [`service`].
pub const SERVED: &str = "10.77.0.101";

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
        // Who watches records was left behind, and would look at a directory that is gone.
        if self.path("root/run/nfs-failover/records.lock").exists() {
            let pattern = format!("{}/.* records --watch", self.0.display());
            let _ = Command::new("pkill").args(["-f", "--", &pattern]).status();
        }
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// rpcbind, and everything that it knows of, on a port of this machine.
#[derive(Clone)]
pub struct Services {
    pub port: u16,
    gone: Arc<Mutex<BTreeSet<u32>>>,
    silent: Arc<Mutex<BTreeSet<u32>>>,
    slow: Arc<Mutex<BTreeSet<u32>>>,
    once: Arc<Mutex<BTreeSet<u32>>>,
}

impl Services {
    fn start() -> Self {
        let socket = UdpSocket::bind((HERE, 0)).unwrap();
        let services = Self {
            port: socket.local_addr().unwrap().port(),
            gone: Arc::default(),
            silent: Arc::default(),
            slow: Arc::default(),
            once: Arc::default(),
        };
        let this = services.clone();
        thread::spawn(move || loop {
            let mut call = [0; 512];
            let (length, from) = socket.recv_from(&mut call).unwrap();
            let word = |at: usize| u32::from_be_bytes(call[at * 4..at * 4 + 4].try_into().unwrap());
            let (program, procedure) = (word(3), word(5));
            // xid, a reply, accepted, no verifier, success.
            let mut reply = vec![word(0), 1, 0, 0, 0, 0];
            if (program, procedure) == (100_000, 3) && length >= 56 {
                let gone = this.gone.lock().unwrap().contains(&word(10));
                reply.push(if gone { 0 } else { this.port.into() });
            } else if this.silent.lock().unwrap().contains(&program)
                && !this.once.lock().unwrap().remove(&program)
            {
                continue;
            }
            if program != 100_000 && this.slow.lock().unwrap().contains(&program) {
                thread::sleep(Duration::from_millis(100));
            }
            let reply: Vec<u8> = reply.into_iter().flat_map(u32::to_be_bytes).collect();
            let _ = socket.send_to(&reply, from);
        });
        services
    }

    /// A program that rpcbind does not know.
    pub fn gone(&self, program: u32) {
        self.gone.lock().unwrap().insert(program);
    }

    /// A program that takes its time.
    pub fn slow(&self, program: u32) {
        self.slow.lock().unwrap().insert(program);
    }

    /// A program that answers again.
    pub fn loud(&self, program: u32) {
        self.silent.lock().unwrap().remove(&program);
    }

    /// A program that is silent answers one call.
    pub fn once(&self, program: u32) {
        self.once.lock().unwrap().insert(program);
    }

    /// A program that is registered, but does not answer.
    pub fn silent(&self, program: u32) {
        self.silent.lock().unwrap().insert(program);
    }
}

/// A node with one service, s1, on which all that NFS needs is running.
pub struct Node {
    pub dir: Scratch,
    pub services: Services,
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
             interface = \"eth9\"\nprefix = 24\nexports = [\"10.0.0.0/8:rw\"]\ndevice = \"{}\"\n",
            at("statd"), at("srv"), at("sdz")
        ));
        dir.write("sdz", "");
        dir.write("nfsd/threads", "8\n");
        dir.write("root/proc/sys/kernel/random/boot_id", &format!("{BOOT}\n"));
        dir.write("nfsd/versions", "-2 +3 +4 +4.1\n");
        dir.write("root/sys/class/net/eth9/address", "");
        dir.write("root/proc/77/comm", "rpc.statd\n");
        dir.write("root/proc/77/cmdline", &format!("rpc.statd\0-H\0{CTL}\0"));
        dir.write(
            "mountinfo",
            &format!(
                "{} 1 8:1 / {} rw - ext4 /dev/sdz rw\n",
                mount_of(&dir.path("srv")),
                at("srv")
            ),
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
        Self {
            dir,
            services: Services::start(),
        }
    }

    /// What the kernel would say to a question for the manifest of 1234.
    pub fn has_manifest(&self) {
        self.dir.write(
            "nfsd/lock_manifest",
            &format!("{}{MANIFEST}", "x".repeat("1234\n".len())),
        );
    }

    /// It is served here since a takeover.
    pub fn was_taken_over(&self, ip: &str) {
        let line = format!("ip={ip} confirm=no clients=0 refused=0\n");
        self.dir.write("nfsd/floating_ips", &line);
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

    /// Nothing is mounted, until `mount` is called.
    pub fn is_not_mounted(&self) {
        let [now, then] = ["mountinfo", "mounted"].map(|name| self.dir.path(name));
        fs::rename(&now, &then).unwrap();
        self.dir.write("mountinfo", "");
        self.fake(
            &["mount"],
            &format!("cp {} {}", then.display(), now.display()),
        );
    }

    pub fn command(&self) -> Command {
        // Whoever runs the tests may ignore signals, as nohup does.
        let mut command = Command::new("env");
        let old = std::env::var("PATH").unwrap_or_default();
        command
            .args(["--default-signal", CTL])
            .env("PATH", format!("{}:{old}", self.dir.path("bin").display()))
            .arg("--config")
            .arg(self.dir.path("config"))
            .arg("--nfsd")
            .arg(self.dir.path("nfsd"))
            .arg("--mountinfo")
            .arg(self.dir.path("mountinfo"))
            .arg("--root")
            .arg(self.dir.path("root"))
            .arg("--local-rpcbind")
            .arg(self.services.port.to_string());
        command
    }

    /// A script for [`as_root`] with the options and addresses of this node.
    pub fn script(&self, script: &str) -> String {
        let options = ["config", "nfsd", "mountinfo", "root"]
            .map(|name| format!("--{name} {}", self.dir.path(name).display()))
            .join(" ");
        format!(
            "SRV={} IP={ELSEWHERE} OPTIONS='{options} --local-rpcbind {}'\n{script}",
            self.dir.path("srv").display(),
            self.services.port
        )
    }

    pub fn run(&self, arguments: &[&str]) -> Ran {
        Ran::new(self.command().args(arguments).output().unwrap())
    }

    /// Runs the command; also tells in which order files of `nfsd` and `also` were written (chown: or
    /// given away) and removed (-).
    pub fn watched(&self, also: &str, arguments: &[&str]) -> (Ran, Vec<String>) {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).unwrap();
        let events = AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_ATTRIB;
        for dir in ["nfsd", also] {
            fs::create_dir_all(self.dir.path(dir)).unwrap();
            inotify.add_watch(&self.dir.path(dir), events).unwrap();
        }
        let ran = self.run(arguments);
        let mut seen = Vec::new();
        while let Ok(events) = inotify.read_events() {
            for event in events {
                let name = event.name.unwrap_or_default().into_string().unwrap();
                let mark = if event.mask.contains(AddWatchFlags::IN_DELETE) {
                    "-"
                } else if event.mask.contains(AddWatchFlags::IN_ATTRIB) {
                    "chown "
                } else {
                    ""
                };
                let name = format!("{mark}{name}");
                if !name.contains(".new") && seen.last() != Some(&name) {
                    seen.push(name);
                }
            }
        }
        (ran, seen)
    }
}

/// The number of the mount that a directory is on, as if it were one itself.
fn mount_of(dir: &Path) -> String {
    let file = fs::File::open(dir).unwrap();
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", file.as_raw_fd())).unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix("mnt_id:"));
    line.unwrap().trim().into()
}

/// A service below `srv`, whose state is in `srv/nsm`.
pub fn service(dir: &Scratch) -> Service {
    let path = dir.path("srv");
    fs::create_dir_all(&path).unwrap();
    let text = format!(
        "[[service]]\nname = \"s1\"\npath = \"{0}\"\nfsid = \"1234\"\nip = \"{SERVED}\"\nstate_dir = \"{0}/nsm\"\n",
        path.display()
    );
    Config::parse(&text).unwrap().services.remove(0)
}

/// Whoever runs the tests.
pub fn me() -> (u32, u32) {
    (
        nix::unistd::geteuid().as_raw(),
        nix::unistd::getegid().as_raw(),
    )
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
    mount --make-rprivate / 2>/dev/null || true
    # In this namespace, mounts have other numbers.
    now_mounted() {
        exec 9<srv
        sed -i \"s/^[0-9]* /$(sed -n 's/^mnt_id:[[:space:]]*//p' /proc/self/fdinfo/9) /\" mountinfo
        exec 9<&-
    }
    [ ! -s mountinfo ] || now_mounted";

/// Runs a shell script as root with mounts, and what else is named, of its own. None if we are not
/// root.
pub fn as_root(own: &[&str], script: &str, directory: &Path) -> Option<Ran> {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: needs root");
        return None;
    }
    let output = Command::new("unshare")
        // In a chroot, unshare cannot make mounts private; who made the chroot has done it.
        .args(["--mount", "--propagation", "unchanged"])
        .args(own)
        .args(["sh", "-euc"])
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
