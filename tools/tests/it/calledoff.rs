// SPDX-License-Identifier: GPL-2.0-only

//! A release that cannot go on after something has changed.

use crate::common::{
    Node,
    HERE, //
};
use crate::network::{
    Network,
    IP,
    IP6, //
};
use std::collections::BTreeSet;
use std::fs;

#[test]
fn a_release_is_called_off() {
    let node = Node::new(HERE, "");
    node.was_taken_over(HERE);
    let path = node.dir.path("srv").display().to_string();
    node.has_manifest();
    // Nobody is to be notified: that would be waited for.
    let clients = node.dir.path(&format!("srv/.nsm/{HERE}/clients"));
    fs::create_dir_all(clients).unwrap();
    let etab =
        format!("{path}\t10.0.0.0/8(rw,sync,fsid=1234)\n{path}/sub\t10.0.0.0/8(ro,fsid=1234)\n");
    node.dir.write("statd/etab", &etab);
    node.fake(&["ss", "ip", "exportfs"], "");
    // What takeover has left.
    let ours = node.dir.path("root/etc/exports.d");
    fs::create_dir_all(&ours).unwrap();
    let name = path.replace('-', "%2d").replace('/', "-");
    let name = format!("nfs-failover{name}.exports");
    node.dir
        .write(&format!("root/etc/exports.d/{name}"), "as it was");
    node.fake(&["umount"], "echo 'umount: target is wrong.' >&2; exit 32");
    node.dir.write(
        "nfsd/failover_status",
        "unit fsid=1234 phase=recovering left=9\n",
    );
    let ran = node.run(&["release", "s1", "--address", "--unexport", "--umount"]);
    assert_eq!(ran.exit, 1, "{ran:?}");
    let steps: Vec<_> = ran
        .out
        .lines()
        .map(|line| line.split(':').next().unwrap())
        .collect();
    assert_eq!(
        steps,
        [
            "module",
            "preflight",
            "address",
            "fence",
            "floating_ips",
            "manifest",
            "unexport",
            "nfs4",
            "connections",
            "umount",
            "statd",
            "mount",
            "floating_ips",
            "grace",
            "manifest",
            "export",
            "address",
            "notify",
            "now"
        ],
        "{ran:?}"
    );
    assert_eq!(node.dir.read("nfsd/nlm_set_igrace"), "1234\n");
    // Before anything is exported, it is removed.
    assert!(!node.dir.path("srv/.nsm/manifest").exists());
    assert_eq!(
        node.dir.read("nfsd/cmd.exportfs"),
        format!(
            "-u 10.0.0.0/8:{path} 10.0.0.0/8:{path}/sub\n\
             -o rw,sync,fsid=1234 10.0.0.0/8:{path}\n-o ro,fsid=1234 10.0.0.0/8:{path}/sub\n"
        )
    );
    // None of them is exported when the filesystem is not mounted.
    let text = fs::read_to_string(ours.join(name)).unwrap();
    for line in [
        format!("{path} 10.0.0.0/8(rw,sync,fsid=1234,mountpoint)\n"),
        format!("{path}/sub 10.0.0.0/8(ro,fsid=1234,mountpoint={path})\n"),
    ] {
        assert_eq!(text.matches(&line).count(), 1, "{text}");
    }
    assert!(
        ran.out
            .ends_with("recovering (9 s left); the release was called off\n"),
        "{ran:?}"
    );
}

/// exportfs ends with an error if it cannot find one, and has withdrawn the others.
#[test]
fn what_was_withdrawn_is_exported_again() {
    let node = Node::new(HERE, "");
    let path = node.dir.path("srv").display().to_string();
    node.has_manifest();
    let clients = node.dir.path(&format!("srv/.nsm/{HERE}/clients"));
    fs::create_dir_all(clients).unwrap();
    let line = |client: &str| format!("{path}\t{client}(rw,fsid=1234)\n");
    let etab = node.dir.path("statd/etab").display().to_string();
    node.fake(&["ss", "ip"], "");
    node.fake(&["umount"], "echo 'umount: target is wrong.' >&2; exit 32");
    node.dir.write(
        "nfsd/failover_status",
        "unit fsid=1234 phase=recovering left=9\n",
    );
    let release = |client: &str| {
        let all = line("10.1.0.0/16") + &line("10.2.0.0/16") + &line("10.3.0.0/16");
        node.dir.write("statd/etab", &all);
        node.dir.write("nfsd/cmd.exportfs", "");
        // Somebody else was faster, or it is there and stays.
        node.fake(
            &["exportfs"],
            &format!(
                "[ $1 = -u ] || exit 0
                grep '{client}(' {etab} >{etab}.new
                mv {etab}.new {etab}
                echo \"exportfs: Could not find '10.2.0.0/16:{path}' to unexport.\" >&2
                exit 1"
            ),
        );
        let arguments = [
            "--json",
            "release",
            "s1",
            "--address",
            "--unexport",
            "--umount",
        ];
        node.was_taken_over(HERE);
        let ran = node.run(&arguments);
        let again = ["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"].map(|client| {
            node.dir
                .read("nfsd/cmd.exportfs")
                .contains(&format!("-o rw,fsid=1234 {client}:"))
        });
        let unexport = ran.steps().into_iter().find(|(name, _)| name == "unexport");
        (unexport.unwrap().1, again)
    };
    assert_eq!(release("none"), ("done".into(), [true; 3]));
    assert_eq!(
        release("10.2.0.0/16"),
        ("incomplete".into(), [true, false, true])
    );
}

/// Who does not answer by one address keeps nobody of the other one waiting: the recovery is for both.
#[test]
fn clients_of_all_addresses_are_told_at_once() {
    let network = Network::new(IP, ["10.98.0.1", "10.99.0.1"].map(String::from).into_iter());
    let node = &network.node;
    network.recovers();
    let dir = &node.dir;
    dir.write(&format!("srv/.nsm/{IP6}/clients/fd00:99::1"), "");
    let config = dir.read("config");
    let first = config.split("[[service]]").nth(1).unwrap();
    let second = first.replace(IP, IP6).replace("\"s1\"", "\"s1-0\"");
    dir.write("config", &format!("{config}[[service]]{second}"));
    node.was_taken_over(IP);
    node.fake(&["exportfs"], "");
    node.fake(&["umount"], "echo 'umount: target is wrong.' >&2; exit 32");
    let script = "responders 10.99.0.1 fd00:99::1
        PATH=$PWD/bin:$PATH
        $CTL release s1 s1-0 --umount --force >said 2>&1 & release=$!
        until [ -s log ]; do sleep 0.1; done
        sleep 3
        echo totals >nfsd/failover_status
        wait $release || echo $? >exit";
    let Some(ran) = network.run(script) else {
        return;
    };
    let told: BTreeSet<_> = network
        .log()
        .into_iter()
        .map(|line| line[1].clone())
        .collect();
    let said = dir.read("said");
    assert_eq!(told, [IP, IP6].map(String::from).into(), "{said} {ran:?}");
    assert!(said.contains("the release was called off"), "{said}");
    assert_eq!(dir.read("exit"), "1\n", "{said}");
}
