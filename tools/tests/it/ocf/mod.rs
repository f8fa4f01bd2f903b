// SPDX-License-Identifier: GPL-2.0-only

//! The OCF agent.

mod addresses;
mod agent;
mod edited;
mod group;
mod judged;
mod kernel;
mod monitor;
mod parameters;
mod scope;
mod start;
mod stop;
mod tester;
mod told;

use crate::common::{
    Node,
    Ran,
    ELSEWHERE,
    MANIFEST, //
};
use kernel::Kernel;
use nfs_failoverctl::ocf::Code;

/// A node with a filesystem that is mounted and exported, whose address is down.
struct Agent {
    node: Node,
    _kernel: Kernel,
}

impl Agent {
    /// With these lines of `failover_status` and addresses in `floating_ips`.
    fn new(unit: &str, floating: &[&str]) -> Self {
        Self::at(ELSEWHERE, unit, floating)
    }

    fn at(ip: &str, unit: &str, floating: &[&str]) -> Self {
        let node = Node::new(ip, "");
        node.dir.write("root/proc/locks", "");
        node.dir.write("root/sys/module/lockd/refcnt", "1");
        node.dir.write("root/proc/88/comm", "lockd\n");
        let path = node.dir.path("srv").display().to_string();
        node.dir
            .write("statd/etab", &format!("{path}\t10.0.0.0/8(rw,fsid=1234)\n"));
        node.fake(&["modprobe"], "exit 1");
        let kernel = Kernel::start(&node, &["1234"], unit, floating);
        Self {
            node,
            _kernel: kernel,
        }
    }

    fn has_no_module(&self) {
        for name in ["failover_status", "floating_ips"] {
            std::fs::remove_file(self.node.dir.path(&format!("nfsd/{name}"))).unwrap();
        }
    }

    /// A client has a lock on the filesystem, or on another one.
    fn holds(&self, device: &str) {
        self.node.dir.write(
            "root/proc/locks",
            &format!("1: POSIX  ADVISORY  WRITE 88 {device}:13 0 9\n2: -> POSIX  ADVISORY  WRITE 88 08:01:14 0 9\n3: POSIX  ADVISORY  WRITE 1 08:01:15 0 9\n"),
        );
    }

    fn has_list(&self, text: &str) {
        self.node.dir.write("srv/.nsm/manifest", text);
    }

    fn list(&self) -> String {
        self.node.dir.read("srv/.nsm/manifest")
    }

    fn act(&self, action: &str) -> (i32, String) {
        self.act_with(action, &[])
    }

    /// The exit status, and what the cluster manager shows.
    fn act_with(&self, action: &str, more: &[(&str, &str)]) -> (i32, String) {
        let ran = self.ran(action, more);
        let reason = ran.err.lines().rev();
        let reason = reason.filter_map(|line| line.strip_prefix("ocf-exit-reason:"));
        (ran.exit, reason.take(1).collect())
    }

    fn ran(&self, action: &str, more: &[(&str, &str)]) -> Ran {
        let mut command = self.node.command();
        // A stop uses its time before it fails.
        let timeout = if action == "stop" { "11000" } else { "20000" };
        command
            .args(["--quiet", "ocf", action])
            .env("OCF_RESKEY_service", "s1")
            .env("OCF_RESKEY_CRM_meta_timeout", timeout);
        for (name, value) in more {
            command.env(name, value);
        }
        Ran::new(command.output().unwrap())
    }
}

/// What an action has to end with.
fn code(code: Code) -> i32 {
    i32::from(code as u8)
}
