// SPDX-License-Identifier: GPL-2.0-only

//! Two filesystems behind one floating IP: they move as one.

mod calledoff;
mod edited;
mod nfs4;
mod release;
mod takeover;
mod told;

use crate::common::{
    Node,
    Ran,
    BOOT,
    HERE, //
};
use std::fs;

const ALL: [&str; 3] = ["--address", "--unexport", "--umount"];

const BOTH_RECOVER: &str =
    "unit fsid=1234 phase=recovering left=90 reclaimed=0 refused=0 waits=0\n\
    unit fsid=5678 phase=recovering left=90 reclaimed=0 refused=0 waits=0\n\
    totals units=2 hooks=live nmissed=0\n";

/// s2 beside s1, mounted and exported as that is.
pub fn beside(node: &Node, ip: &str) {
    let dir = &node.dir;
    let at = |name: &str| dir.path(name).display().to_string();
    fs::create_dir_all(dir.path("srv2")).unwrap();
    dir.write("sdy", "");
    let config = dir.read("config");
    dir.write(
        "config",
        &format!(
            "{config}[[service]]\nname = \"s2\"\npath = \"{}\"\nfsid = \"5678\"\nip = \"{ip}\"\ninterface = \"eth9\"\n\
             prefix = 24\nexports = [\"10.0.0.0/8:rw\"]\ndevice = \"{}\"\n",
            at("srv2"),
            at("sdy")
        ),
    );
    let mounts = dir.read("mountinfo");
    let second = mounts
        .replace(&at("srv"), &at("srv2"))
        .replace("8:1", "8:2")
        .replace("/dev/sdz", "/dev/sdy");
    dir.write("mountinfo", &(mounts + &second));
    let export = |path: &str, fsid| format!("{}\t10.0.0.0/8(rw,fsid={fsid})\n", at(path));
    dir.write("statd/etab", &(export("srv", 1234) + &export("srv2", 5678)));
}

/// Both are served here since they were taken over by one command.
fn both_were_taken_over(node: &Node, ip: &str) {
    node.was_taken_over(ip);
    marks(node, &["1234", "5678"], ip);
}

/// What a takeover leaves of each.
pub fn marks(node: &Node, fsids: &[&str], ip: &str) {
    for fsid in fsids {
        node.dir
            .write(&mark(fsid), &format!("{BOOT}\n1\nip={ip}\n"));
    }
}

pub fn mark(fsid: &str) -> String {
    format!("root/run/nfs-failover/taken-over-{fsid}")
}

/// s2 has another address, too, as s2-0.
fn with_another_address(node: &Node, ip: &str) {
    let config = node.dir.read("config");
    let second = config.split("[[service]]").nth(2).unwrap();
    let its = second.lines().find(|line| line.starts_with("ip = "));
    let third = second
        .replace(its.unwrap(), &format!("ip = \"{ip}\""))
        .replace("\"s2\"", "\"s2-0\"");
    node.dir
        .write("config", &format!("{config}[[service]]{third}"));
}

fn pair(ip: &str) -> Node {
    let node = Node::new(ip, "");
    beside(&node, ip);
    node.has_manifest();
    node.fake(&["ss", "ip", "exportfs", "umount"], "");
    node
}

/// The name of each step, and whose it is as far as its line says so.
fn steps(ran: &Ran) -> Vec<String> {
    let whose = |line: &str| {
        let second = ["srv2", "5678", "s2 "]
            .iter()
            .any(|word| line.contains(word));
        let first = ["srv/", "srv ", "srv:", "1234", "s1 "]
            .iter()
            .any(|word| line.contains(word));
        match (first, second) {
            (_, true) => " 2",
            (true, _) => " 1",
            _ => "",
        }
    };
    ran.out
        .lines()
        .map(|line| format!("{}{}", line.split(':').next().unwrap(), whose(line)))
        .collect()
}

#[test]
fn one_of_them_does_not_move_alone() {
    let node = pair(HERE);
    node.was_taken_over(HERE);
    let before = node.dir.read("nfsd/nlm_unlock");
    for command in ["release", "takeover"] {
        for one in ["s1", "s2"] {
            let ran = node.run(&[command, one, "--force"]);
            let advice = format!("\"nfs-failoverctl {command} s1 s2\"");
            assert!(ran.exit == 1 && ran.err.contains(&advice), "{ran:?}");
            assert_eq!(ran.out, "");
        }
        let ran = node.run(&[
            command, "--ip", HERE, "--path", "/srv/9", "--fsid", "9", "--force",
        ]);
        assert!(
            ran.exit == 1 && ran.err.contains("cannot be at two nodes"),
            "{ran:?}"
        );
        // Of an address, all of them.
        let ran = node.run(&[command, "--ip", HERE, "--dry-run"]);
        assert!(
            ran.exit == 0 && ran.out.contains("now: s1") && ran.out.contains("now: s2"),
            "{ran:?}"
        );
        let ran = node.run(&[command, "--ip", HERE, "--fsid", "1234"]);
        assert!(
            ran.exit == 1 && ran.err.contains("several filesystems"),
            "{ran:?}"
        );
    }
    assert_eq!(node.dir.read("nfsd/nlm_unlock"), before);
}

/// Who tells the clients of both would wait for itself.
#[test]
fn one_state_dir_for_both_is_refused() {
    let node = pair(HERE);
    node.was_taken_over(HERE);
    node.dir.write("nfsd/failover_status", BOTH_RECOVER);
    let config = node.dir.read("config");
    let shared = node.dir.path("srv/.nsm").display().to_string();
    node.dir
        .write("config", &format!("{config}state_dir = \"{shared}\"\n"));
    let before = node.dir.read("nfsd/nlm_unlock");
    for words in [
        &["release", "s1", "s2", "--force"][..],
        &["takeover", "--ip", HERE, "--force"],
        &["notify", "--ip", HERE, "--force"],
        &["config", "check"],
    ] {
        let ran = node.run(words);
        assert!(
            ran.exit == 1 && ran.err.contains("the same state_dir"),
            "{words:?} {ran:?}"
        );
        assert_eq!(ran.out, "");
    }
    assert_eq!(node.dir.read("nfsd/nlm_unlock"), before);
    assert_eq!(node.dir.read("nfsd/nlm_set_igrace"), "");
}

/// Nothing that a name is needed for is done, and all else goes on.
#[test]
fn a_name_that_is_given_twice_ends_nothing() {
    let node = pair(HERE);
    node.was_taken_over(HERE);
    let config = node.dir.read("config").replace("\"s2\"", "\"s1\"");
    node.dir.write("config", &config);
    let before = node.dir.read("nfsd/nlm_unlock");
    for words in [
        &["release", "s1", "--force"][..],
        &["release", "--ip", HERE, "--force"],
        &["takeover", "--ip", HERE, "--force"],
        &["config", "check"],
    ] {
        let ran = node.run(words);
        let why = "two services have the name \"s1\"";
        assert!(ran.exit == 1 && ran.err.contains(why), "{words:?} {ran:?}");
    }
    assert_eq!(node.dir.read("nfsd/nlm_unlock"), before);
    let clients = ["srv", "srv2"].map(|path| format!("{path}/.nsm/{HERE}/clients"));
    for clients in &clients {
        fs::create_dir_all(node.dir.path(clients)).unwrap();
    }
    let floating = format!("{}\nip={HERE} confirm=yes clients=0\n", "x".repeat(60));
    node.dir.write("nfsd/floating_ips", &floating);
    let ran = node.run(&["callout", "add-client", "10.77.0.13", HERE]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    for clients in clients {
        assert!(node.dir.path(&format!("{clients}/10.77.0.13")).exists());
    }
    for words in [&["boot"][..], &["status"], &["records"]] {
        let ran = node.run(words);
        assert!(!ran.err.contains("have the name"), "{words:?} {ran:?}");
    }
}

/// The section of the configuration file that is of s2 is gone.
pub fn without_second(node: &Node) {
    let file = node.dir.read("config");
    let end = file.rfind("[[service]]").unwrap();
    node.dir.write("config", &file[..end]);
}
