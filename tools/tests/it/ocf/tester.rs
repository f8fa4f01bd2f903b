// SPDX-License-Identifier: GPL-2.0-only

//! What the packages of Pacemaker's friends say of the agent. tests/cluster/run has them installed.

use super::Agent;
use crate::common::{
    Ran,
    CTL, //
};
use std::path::Path;
use std::process::Command;

#[test]
fn ocf_tester_is_content() {
    let tester = Path::new("/usr/sbin/ocf-tester");
    if !tester.exists() {
        eprintln!("SKIPPED: needs resource-agents");
        return;
    }
    let agent = Agent::new("", &[]);
    let at = |name: &str| agent.node.dir.path(name).display().to_string();
    let options = ["config", "nfsd", "mountinfo", "root"]
        .map(|name| format!("--{name} {}", at(name)))
        .join(" ");
    agent.node.fake(
        &["nfs-failoverctl"],
        &format!(
            "exec {CTL} {options} --local-rpcbind {} \"$@\"",
            agent.node.services.port
        ),
    );
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/ocf/nfslocks");
    let output = Command::new(tester)
        .args(["-v", "-n", "s1-locks", "-o", "service=s1", file])
        .env(
            "PATH",
            format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", at("bin")),
        )
        .env("OCF_ROOT", "/usr/lib/ocf")
        .output()
        .unwrap();
    let ran = Ran::new(output);
    assert_eq!(ran.exit, 0, "{}\n{}", ran.out, ran.err);
    assert!(ran.out.contains("passed all tests"), "{}", ran.out);
    // It has been started and stopped.
    let called = agent.node.dir.read("nfsd/cmd.nfs-failoverctl");
    for action in ["meta-data", "validate-all", "monitor", "start", "stop"] {
        assert!(called.contains(&format!("ocf {action}\n")), "{called}");
    }
}
