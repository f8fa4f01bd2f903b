// SPDX-License-Identifier: GPL-2.0-only

//! Two filesystems behind one floating IP: they move as one.

use crate::common::{
    Node,
    Ran,
    ELSEWHERE,
    HERE,
    MANIFEST, //
};
use crate::network::{
    json,
    Network,
    IP, //
};
use std::fs;
use std::iter::empty;
use std::thread;

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
    marks(node, &["1234", "5678"]);
}

/// What a takeover leaves of each.
pub fn marks(node: &Node, fsids: &[&str]) {
    for fsid in fsids {
        node.dir.write(&mark(fsid), "\n1\n");
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
        for (one, both) in [("s1", "s1 s2"), ("s2", "s2 s1")] {
            let ran = node.run(&[command, one, "--force"]);
            let advice = format!("\"nfs-failoverctl {command} {both}\"");
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

/// Behind the fences of all, and whole.
#[test]
fn they_are_released_together() {
    let node = pair(HERE);
    both_were_taken_over(&node, HERE);
    let ran = node.run(&[&["release", "s1", "s2"], &ALL[..]].concat());
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert_eq!(
        steps(&ran),
        [
            "module 1",
            "module 2",
            "preflight",
            "preflight",
            "fence 1",
            "fence 2",
            "floating_ips",
            "address",
            "manifest 1",
            "manifest 2",
            "unexport 1",
            "unexport 2",
            "nfs4",
            "nfs4",
            "umount 1",
            "umount 2",
            "statd",
            "now 1",
            "now 2"
        ],
        "{ran:?}"
    );
    assert_eq!(node.dir.read("srv/.nsm/manifest"), MANIFEST);
    assert_eq!(node.dir.read("srv2/.nsm/manifest"), MANIFEST);
    assert!(["1234", "5678"].map(|fsid| node.dir.path(&mark(fsid)).exists()) == [false; 2]);
    assert_eq!(
        node.dir.read("nfsd/cmd.ip"),
        format!("addr del {HERE}/8 dev lo\n")
    );
}

#[test]
fn none_is_released_if_one_cannot_be() {
    let node = pair(HERE);
    let etab = node.dir.read("statd/etab").replace("5678", "77");
    node.dir.write("statd/etab", &etab);
    let before = node.dir.read("nfsd/nlm_unlock");
    let ran = node.run(&[&["release", "s1", "s2"], &ALL[..]].concat());
    assert!(
        ran.exit == 1
            && ran.out.contains("with fsid 77")
            && ran.out.matches("; nothing has changed").count() == 2,
        "{ran:?}"
    );
    assert_eq!(node.dir.read("nfsd/nlm_unlock"), before);
    assert_eq!(node.dir.read("nfsd/cmd.ip"), "");
}

/// The second one stays mounted: the first one, which has left, comes back, and both recover before the
/// address does.
#[test]
fn all_of_it_is_called_off() {
    let node = pair(HERE);
    both_were_taken_over(&node, HERE);
    let at = |name: &str| node.dir.path(name).display().to_string();
    for path in ["srv", "srv2"] {
        fs::create_dir_all(node.dir.path(&format!("{path}/.nsm/{HERE}/clients"))).unwrap();
    }
    let (mounts, first) = (at("mountinfo"), at("srv"));
    node.fake(
        &["umount"],
        &format!(
            "[ $1 = {first} ] || {{ echo 'umount: target is wrong.' >&2; exit 32; }}
            cp {mounts} {mounts}.both
            grep -v ' {first} ' {mounts}.both >{mounts}.new
            mv {mounts}.new {mounts}"
        ),
    );
    node.fake(&["mount"], &format!("cp {mounts}.both {mounts}"));
    node.dir.write("nfsd/failover_status", BOTH_RECOVER);
    let ran = node.run(&[&["release", "s1", "s2"], &ALL[..]].concat());
    assert_eq!(ran.exit, 1, "{ran:?}");
    let all = steps(&ran);
    let after = all.iter().position(|step| step == "statd").unwrap() + 1;
    assert_eq!(
        all[after..],
        [
            "mount 1",
            "mount 2",
            "floating_ips 1",
            "grace 1",
            "grace 2",
            "manifest 1",
            "manifest 2",
            "export 1",
            "export 2",
            "address",
            "notify",
            "now 1",
            "now 2"
        ],
        "{ran:?}"
    );
    assert_eq!(
        node.dir.read("nfsd/cmd.mount"),
        format!("{} {first}\n", at("sdz"))
    );
    assert_eq!(
        ran.out.matches("; the release was called off").count(),
        2,
        "{ran:?}"
    );
    let exports = node.dir.read("nfsd/cmd.exportfs");
    for path in [at("srv"), at("srv2")] {
        assert!(
            exports.contains(&format!("10.0.0.0/8:{path}\n")),
            "{exports}"
        );
    }
    assert!(["1234", "5678"].map(|fsid| node.dir.path(&mark(fsid)).exists()) == [true; 2]);
}

/// The second one was written into the file, and never was here.
#[test]
fn what_was_not_here_stays_away_when_it_is_called_off() {
    let node = pair(HERE);
    node.was_taken_over(HERE);
    let at = |name: &str| node.dir.path(name).display().to_string();
    fs::create_dir_all(node.dir.path(&format!("srv/.nsm/{HERE}/clients"))).unwrap();
    for file in ["mountinfo", "statd/etab"] {
        let text = node.dir.read(file);
        let first = text
            .split_inclusive('\n')
            .filter(|line| !line.contains(&at("srv2")));
        node.dir.write(file, &first.collect::<String>());
    }
    node.fake(&["umount"], "echo 'umount: target is wrong.' >&2; exit 32");
    node.fake(&["mount"], "");
    let status = BOTH_RECOVER.split_inclusive('\n');
    let status: String = status.filter(|line| !line.contains("5678")).collect();
    node.dir.write("nfsd/failover_status", &status);
    let ran = node.run(&[&["release", "s1", "s2"], &ALL[..]].concat());
    assert_eq!(ran.exit, 1, "{ran:?}");
    assert_eq!(
        ran.out.matches("; the release was called off").count(),
        2,
        "{ran:?}"
    );
    assert_eq!(node.dir.read("nfsd/cmd.mount"), "");
    assert_eq!(node.dir.read("nfsd/nlm_set_igrace"), "1234\n");
    assert!(
        ran.out.contains("tell the clients of 127.0.0.1 ... "),
        "{ran:?}"
    );
}

#[test]
fn they_are_taken_over_together() {
    let node = pair(ELSEWHERE);
    node.dir.write("nfsd/failover_status", BOTH_RECOVER);
    let arguments = [
        "takeover",
        "s1",
        "s2",
        "--export",
        "--address",
        "--no-notify",
    ];
    let ran = node.run(&arguments);
    assert_eq!(ran.exit, 0, "{ran:?}");
    let (all, address) = (steps(&ran), format!("addr add {ELSEWHERE}/24 dev eth9\n"));
    assert_eq!(
        all,
        [
            "module",
            "module",
            "preflight",
            "preflight",
            "mount 1",
            "mount 2",
            "state_dir 1",
            "state_dir 2",
            "statd",
            "grace 1",
            "grace 2",
            "floating_ips",
            "nfs4",
            "manifest 1",
            "manifest 2",
            "export 1",
            "export 2",
            "address",
            "notify",
            "now 1",
            "now 2"
        ],
        "{ran:?}"
    );
    assert_eq!(node.dir.read("nfsd/cmd.ip"), address);
    // The same command has begun both.
    let [first, second] = ["1234", "5678"].map(|fsid| node.dir.read(&mark(fsid)));
    assert!(!first.is_empty() && first == second, "{first} {second}");
    // Where one does not recover, or is not exported, nobody comes.
    node.dir.write("nfsd/cmd.ip", "");
    node.dir.write(
        "nfsd/failover_status",
        &BOTH_RECOVER.replace("fsid=5678 phase=recovering", "fsid=5678 phase=released"),
    );
    let ran = node.run(&arguments);
    let srv2 = node.dir.path("srv2").display().to_string();
    assert!(
        ran.exit == 1 && ran.out.contains(&format!("{srv2} does not recover here")),
        "{ran:?}"
    );
    node.dir.write("nfsd/failover_status", BOTH_RECOVER);
    node.fake(
        &["exportfs"],
        &format!("case \"$*\" in *{srv2}) exit 1;; esac"),
    );
    let ran = node.run(&arguments);
    assert!(
        ran.exit == 1 && ran.out.contains("address: not done"),
        "{ran:?}"
    );
    assert_eq!(node.dir.read("nfsd/cmd.ip"), "");
}

/// A client that has something on both loses nothing by the release of both, and is on the lists of
/// both although it is gone after the first.
#[test]
fn nfs4_clients_of_both_go_along() {
    let node = pair(ELSEWHERE);
    let state = |device: &str| {
        format!(
            "- 0x1: {{ type: open, superblock: \"{device}:12\", filename: \"f\", owner: \"o\" }}\n"
        )
    };
    node.dir.write(
        "nfsd/clients/3/info",
        &format!("address: \"10.77.0.13:878\"\nname: \"c1@{ELSEWHERE}\"\nminor version: 2\n"),
    );
    let release = |states: &str| {
        node.dir.write("nfsd/clients/3/states", states);
        let dir = node.dir.path("nfsd/clients/3");
        let ctl = dir.join("ctl");
        let _ = fs::remove_file(&ctl);
        nix::unistd::mkfifo(&ctl, nix::sys::stat::Mode::S_IRWXU).unwrap();
        // nfsd has forgotten it when that is written.
        let gone = thread::spawn(move || {
            let _ctl = fs::File::open(ctl).unwrap();
            fs::remove_dir_all(dir).unwrap();
        });
        let ran = node.run(&["release", "s1", "s2", "--unexport", "--umount"]);
        (ran, gone)
    };
    let (ran, gone) = release(&(state("08:01") + &state("08:02")));
    // Else nobody opens it, and it is waited for without end.
    assert_eq!(ran.exit, 0, "{ran:?}");
    gone.join().unwrap();
    assert_eq!(ran.out.matches("expired ... done (1").count(), 2, "{ran:?}");
}

/// The kernel says that nothing but what NFSv4 clients had is missing on either.
fn nfs4_only() -> Node {
    nfs4_only_at(ELSEWHERE)
}

fn nfs4_only_at(ip: &str) -> Node {
    let node = pair(ip);
    both_were_taken_over(&node, ip);
    let pad = |command: &str| "x".repeat(command.len());
    node.dir.write(
        "nfsd/nlm_unlock",
        &format!(
            "{}locks=0 blocked=0 shares=0 files=0 manifest=none nfs4=only\n",
            pad("1234 fence=90\n")
        ),
    );
    node.dir.write(
        "nfsd/nfs4_clients",
        &format!(
            "{}unit fsid=1234 phase=released taken=1763731234.000000001 valid=60\n",
            pad("1234\n")
        ),
    );
    node.dir.write(
        "nfsd/failover_status",
        &BOTH_RECOVER.replace("recovering", "released"),
    );
    node
}

fn state(on: &str) -> String {
    format!("- 0x1: {{ type: open, superblock: \"{on}\", filename: \"f\", owner: \"o\" }}\n")
}

/// What is listed is what it had on each when both fences were up, and not what was seen before.
#[test]
fn lists_of_both_have_the_files_of_a_look_behind_all_fences() {
    let node = nfs4_only();
    node.dir.write(
        "nfsd/clients/3/info",
        &format!("address: \"10.77.0.13:878\"\nname: \"c1@{ELSEWHERE}\"\nminor version: 2\n"),
    );
    node.dir.write(
        "nfsd/clients/3/states",
        &(state("08:01:11") + &state("08:02:21")),
    );
    // The last command before the look.
    let last = state("08:01:11") + &state("08:01:12") + &state("08:02:21") + &state("08:02:22");
    let script = format!(
        "cat >{} <<'END'\n{last}END",
        node.dir.path("nfsd/clients/3/states").display()
    );
    node.fake(&["exportfs"], &script);
    let ctl = node.dir.path("nfsd/clients/3/ctl");
    nix::unistd::mkfifo(&ctl, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let gone = {
        let dir = node.dir.path("nfsd/clients/3");
        thread::spawn(move || {
            let _ctl = fs::File::open(ctl).unwrap();
            fs::remove_dir_all(dir).unwrap();
        })
    };
    let ran = node.run(&["release", "s1", "s2", "--unexport", "--umount"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    gone.join().unwrap();
    for (path, files) in [("srv", "11-12"), ("srv2", "21-22")] {
        let list = node.dir.read(&format!("{path}/.nsm/manifest.nfs4"));
        let words = format!("client files={files} name=c1@{ELSEWHERE}\nend clients=1\n");
        assert!(list.ends_with(&words), "{list} {ran:?}");
    }
}

/// The answers that they are closed may be lost with the address, which goes once for both.
#[test]
fn files_that_are_closed_when_the_address_goes_are_listed_on_both() {
    let node = nfs4_only_at(HERE);
    for (number, states) in [
        (3, state("08:01:11") + &state("08:01:12")),
        (4, state("08:02:21") + &state("08:02:22")),
        // All of it.
        (5, state("08:02:23")),
    ] {
        node.dir.write(
            &format!("nfsd/clients/{number}/info"),
            &format!("address: \"10.77.0.1{number}:878\"\nname: \"c{number}@{HERE}\"\nminor version: 2\n"),
        );
        node.dir
            .write(&format!("nfsd/clients/{number}/states"), &states);
        node.dir.write(&format!("nfsd/clients/{number}/ctl"), "");
    }
    // Connections are killed just before the address goes down.
    let write = |number: u32, states: &str| {
        let path = node.dir.path(&format!("nfsd/clients/{number}/states"));
        format!("cat >{} <<'END'\n{states}END\n", path.display())
    };
    let then = write(3, &state("08:01:11")) + &write(4, &state("08:02:21")) + &write(5, "");
    node.fake(&["ss"], &then);
    let ran = node.run(&["release", "s1", "s2", "--address"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    let client = |files: &str, number: u32| format!("client files={files} name=c{number}@{HERE}\n");
    for (path, words) in [
        ("srv", client("11-12", 3) + "end clients=1\n"),
        (
            "srv2",
            client("21-22", 4) + &client("23", 5) + "end clients=2\n",
        ),
    ] {
        let list = node.dir.read(&format!("{path}/.nsm/manifest.nfs4"));
        assert!(list.ends_with(&words), "{list} {ran:?}");
    }
}

/// A filesystem has clients by each of its addresses, and all of them are expired with the first.
#[test]
fn clients_by_all_addresses_of_a_filesystem_are_listed_and_forgotten() {
    let node = nfs4_only();
    with_another_address(&node, "203.0.113.78");
    for (number, ip, states) in [
        (3, ELSEWHERE, state("08:02:21")),
        (4, "203.0.113.78", state("08:02:22")),
        (
            5,
            "203.0.113.78",
            "- 0x1: { type: open, access: rw, deny: --, closed, owner: \"o\" }\n".into(),
        ),
    ] {
        node.dir.write(
            &format!("nfsd/clients/{number}/info"),
            &format!(
                "address: \"10.77.0.1{number}:878\"\nname: \"c{number}@{ip}\"\nminor version: 2\n"
            ),
        );
        node.dir
            .write(&format!("nfsd/clients/{number}/states"), &states);
        node.dir.write(&format!("nfsd/clients/{number}/ctl"), "");
    }
    let ran = node.run(&["release", "s1", "s2", "s2-0"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    let list = node.dir.read("srv2/.nsm/manifest.nfs4");
    let words = format!(
        "client files=21 name=c3@{ELSEWHERE}\nclient files=22 name=c4@203.0.113.78\nend clients=2\n"
    );
    assert!(list.ends_with(&words), "{list} {ran:?}");
    for number in 3..=5 {
        let ctl = node.dir.read(&format!("nfsd/clients/{number}/ctl"));
        assert_eq!(ctl, "expire\n", "{number} {ran:?}");
    }
}

/// It closes a file on the second one, by which it is told nothing, while another one is expired.
#[test]
fn a_file_that_is_given_up_after_the_look_is_listed() {
    let node = nfs4_only();
    let client = |number: u32| {
        node.dir.write(
            &format!("nfsd/clients/{number}/info"),
            &format!("address: \"10.77.0.1{number}:878\"\nname: \"c{number}@{ELSEWHERE}\"\nminor version: 2\n"),
        );
    };
    (3..=4).for_each(client);
    let both = state("08:02:21") + &state("08:02:22");
    node.dir.write("nfsd/clients/3/states", &both);
    node.dir.write("nfsd/clients/3/ctl", "");
    node.dir.write("nfsd/clients/4/states", &state("08:01:11"));
    let (file, dir) = (
        node.dir.path("nfsd/clients/3/states"),
        node.dir.path("nfsd/clients/4"),
    );
    let ctl = dir.join("ctl");
    nix::unistd::mkfifo(&ctl, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let gone = thread::spawn(move || {
        let _ctl = fs::File::open(ctl).unwrap();
        fs::write(file, state("08:02:21")).unwrap();
        fs::remove_dir_all(dir).unwrap();
    });
    let ran = node.run(&["release", "s1", "s2"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    gone.join().unwrap();
    let list = node.dir.read("srv2/.nsm/manifest.nfs4");
    let words = format!("client files=21-22 name=c3@{ELSEWHERE}\nend clients=1\n");
    assert!(list.ends_with(&words), "{list} {ran:?}");
}

/// Clients reclaim on the second one only, and would be refused behind its fence.
#[test]
fn the_address_goes_first_while_clients_of_any_reclaim() {
    let recovering = |fsid: u32| {
        format!(
            "unit fsid={fsid} phase=recovering left=9 reclaimed=1 manifest=3 outstanding=2\n\
             totals units=1 hooks=live nmissed=0\n"
        )
    };
    let order = |status: &str| {
        let node = pair(HERE);
        node.was_taken_over(HERE);
        node.dir.write("nfsd/failover_status", status);
        let (ran, seen) = node.watched("srv/.nsm", &["release", "s1", "s2", "--address"]);
        assert_eq!(ran.exit, 0, "{ran:?}");
        seen.first().cloned().unwrap_or_default()
    };
    assert_eq!(order(&recovering(5678)), "cmd.ss");
    assert_eq!(order(&recovering(1234)), "cmd.ss");
    assert_eq!(order("totals units=0 hooks=live nmissed=0\n"), "nlm_unlock");
    // Nothing is dropped after that, so it comes back and nobody is told.
    let node = pair(HERE);
    node.was_taken_over(HERE);
    node.dir.write("nfsd/failover_status", &recovering(5678));
    let unlock = node.dir.path("nfsd/nlm_unlock");
    fs::remove_file(&unlock).unwrap();
    fs::create_dir(&unlock).unwrap();
    let ran = node.run(&["release", "s1", "s2", "--address"]);
    assert_eq!(ran.exit, 1, "{ran:?}");
    assert_eq!(
        ran.out.matches("; the release was called off").count(),
        2,
        "{ran:?}"
    );
    assert!(
        ran.out.contains("up again ... ") && !ran.out.contains("grace:"),
        "{ran:?}"
    );
}

/// The second one leaves by another address, too, which goes by the same command.
#[test]
fn another_address_of_what_recovers_goes_along() {
    let node = pair(ELSEWHERE);
    node.was_taken_over(HERE);
    with_another_address(&node, HERE);
    let status = BOTH_RECOVER.replace("fsid=1234 phase=recovering", "fsid=1234 phase=recovered");
    node.dir.write("nfsd/failover_status", &status);
    let ran = node.run(&["release", "s1", "s2"]);
    assert!(
        ran.exit == 1 && ran.out.contains(&format!("clients reclaim by {HERE}")),
        "{ran:?}"
    );
    let ran = node.run(&["release", "s1", "s2", "s2-0", "--address"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
}

/// The address is here for the first one only, as the configuration file did not know the second. Clients
/// may have got something there, so nobody knows what all of them have.
#[test]
fn what_the_address_is_not_here_for_is_not_listed() {
    let both = &["s1", "s2"][..];
    for (named, list, of_second) in [
        (both, "an old one", ""),
        (both, "", ""),
        // It was, before this machine was booted.
        (both, "", "another boot\n1\n"),
        // It may have another one for itself.
        (&["s2-0", "s2", "s1"], "an old one", ""),
    ] {
        let node = pair(HERE);
        with_another_address(&node, ELSEWHERE);
        node.was_taken_over(HERE);
        marks(&node, &["1234"]);
        node.dir.write(&mark("5678"), of_second);
        node.dir.write("srv2/.nsm/manifest", list);
        let ran = node.run(&[&["release"], named, &["--address"]].concat());
        assert_eq!(ran.exit, 0, "{ran:?}");
        assert_eq!(node.dir.read("srv/.nsm/manifest"), MANIFEST);
        assert_eq!(node.dir.read("srv2/.nsm/manifest"), "");
        assert!(ran.out.contains("was not taken over here"), "{ran:?}");
    }
}

/// Each of them is listed, or not, for itself.
#[test]
fn what_was_not_taken_over_keeps_its_list() {
    let node = pair(ELSEWHERE);
    node.dir.write(
        "nfsd/failover_status",
        "unit fsid=1234 phase=recovered left=9\ntotals units=1 hooks=live nmissed=0\n",
    );
    for path in ["srv", "srv2"] {
        node.dir
            .write(&format!("{path}/.nsm/manifest"), "an old one");
    }
    let ran = node.run(&["release", "s1", "s2", "--address"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert_eq!(node.dir.read("srv/.nsm/manifest"), MANIFEST);
    assert_eq!(node.dir.read("srv2/.nsm/manifest"), "an old one");
}

/// Somebody who has something on a third one is left alone.
#[test]
fn nfs4_clients_of_others_stay() {
    let node = pair(ELSEWHERE);
    let state = |device: &str| {
        format!(
            "- 0x1: {{ type: open, superblock: \"{device}:12\", filename: \"f\", owner: \"o\" }}\n"
        )
    };
    node.dir.write("nfsd/clients/3/info", "name: \"c1\"\n");
    node.dir.write("nfsd/clients/3/ctl", "");
    let states = state("08:01") + &state("08:02") + &state("08:03");
    node.dir.write("nfsd/clients/3/states", &states);
    let ran = node.run(&["release", "s1", "s2", "--unexport", "--umount"]);
    assert!(
        ran.exit == 1
            && ran
                .out
                .contains("has 1 opens, locks or delegations on other"),
        "{ran:?}"
    );
    assert_eq!(node.dir.read("nfsd/clients/3/ctl"), "");
}

fn record(path: &str, ip: &str, client: &str) -> String {
    format!("{path}/.nsm/{ip}/clients/{client}")
}

#[test]
fn a_client_is_recorded_on_each() {
    let node = pair(ELSEWHERE);
    let there = |client: &str| {
        ["srv", "srv2"].map(|path| node.dir.path(&record(path, ELSEWHERE, client)).exists())
    };
    let call = |event: &str, client: &str| {
        node.dir.write(
            "nfsd/floating_ips",
            &format!("{}\nip={ELSEWHERE} confirm=yes clients=0\n", "x".repeat(60)),
        );
        node.run(&["callout", event, client, ELSEWHERE])
    };
    for path in ["srv", "srv2"] {
        fs::create_dir_all(node.dir.path(&format!("{path}/.nsm/{ELSEWHERE}/clients"))).unwrap();
    }
    let ran = call("add-client", "10.77.0.13");
    assert_eq!((ran.exit, there("10.77.0.13")), (0, [true; 2]), "{ran:?}");
    let ran = call("del-client", "10.77.0.13");
    assert_eq!((ran.exit, there("10.77.0.13")), (0, [false; 2]), "{ran:?}");
    // The kernel is not told before both are durable.
    fs::remove_dir_all(node.dir.path(&format!("srv2/.nsm/{ELSEWHERE}/clients"))).unwrap();
    let ran = call("add-client", "10.77.0.14");
    assert!(ran.err.contains("takeover s2"), "{ran:?}");
    assert_eq!(there("10.77.0.14"), [true, false]);
    assert!(node.dir.read("nfsd/floating_ips").starts_with("xxx"));
    fs::remove_file(
        node.dir
            .path(&format!("statd/sm/.nfs-failover-{ELSEWHERE}-10.77.0.14")),
    )
    .unwrap();
    // One that is not here has nobody's locks.
    let srv2 = node.dir.path("srv2").display().to_string();
    let mounts = node.dir.read("mountinfo");
    let first = mounts.split_inclusive('\n');
    let first: String = first.filter(|line| !line.contains(&srv2)).collect();
    node.dir.write("mountinfo", &first);
    let ran = call("add-client", "10.77.0.15");
    assert_eq!(
        (ran.exit, there("10.77.0.15")),
        (0, [true, false]),
        "{ran:?}"
    );
    // It gets the records of the other when it comes.
    node.dir.write("mountinfo", &mounts);
    node.dir.write("nfsd/floating_ips", "");
    node.run(&["takeover", "s1", "s2", "--no-notify"]);
    assert_eq!(there("10.77.0.15"), [true; 2]);
}

fn network() -> Network {
    let network = Network::new(IP, empty());
    beside(&network.node, IP);
    network.node.dir.write("nfsd/failover_status", BOTH_RECOVER);
    for (path, client) in [("srv", "10.99.0.1"), ("srv2", "10.99.0.2")] {
        network.node.dir.write(&record(path, IP, client), "");
        network.node.dir.write(&record(path, IP, "10.99.0.3"), "");
    }
    network
}

/// Once, whoever is on record on any, with a number that is new for all.
#[test]
fn the_clients_of_all_are_told_once() {
    let network = network();
    let dir = &network.node.dir;
    dir.write(&format!("srv2/.nsm/{IP}/state"), "2000000001\n");
    let script = format!(
        "responders 10.99.0.1 10.99.0.2 10.99.0.3
        $CTL --json notify --ip {IP} --timeout 20"
    );
    let Some(ran) = network.run(&script) else {
        return;
    };
    assert_eq!(ran.exit, 0, "{ran:?}");
    let state = json(&ran)["state"].to_string();
    assert_eq!(state, "2000000003");
    let told: Vec<_> = ["10.99.0.1", "10.99.0.2", "10.99.0.3"]
        .map(|client| [client.to_string(), IP.into(), IP.into(), state.clone()])
        .into();
    assert_eq!(network.log(), told);
    for path in ["srv", "srv2"] {
        let kept = dir.read(&format!("{path}/.nsm/{IP}/state"));
        assert_eq!(kept, format!("{state}\n"));
    }
}

/// The first one had NFSv4 clients only, who are through. Those of the second one would lose all.
#[test]
fn clients_are_told_when_one_is_through() {
    let network = network();
    let dir = &network.node.dir;
    let status = BOTH_RECOVER.split_inclusive('\n');
    let status: String = status.filter(|line| !line.contains("1234")).collect();
    dir.write("nfsd/failover_status", &status);
    // Behind what is asked of the file.
    let floating = format!("{}\nip={IP} confirm=no clients=0\n", "x".repeat(60));
    dir.write("nfsd/floating_ips", &floating);
    marks(&network.node, &["5678"]);
    let script = format!(
        "responders 10.99.0.1 10.99.0.2 10.99.0.3
        $CTL notify --ip {IP} --timeout 20 || echo $? >exit"
    );
    // It has begun at another time, or with the other.
    for (first, exit, told) in [("\n0\n", "1\n", 0), ("\n1\n", "", 3)] {
        dir.write(&mark("1234"), first);
        dir.write("exit", "");
        let Some(ran) = network.run(&script) else {
            return;
        };
        assert_eq!(dir.read("exit"), exit, "{ran:?}");
        assert_eq!(network.log().len(), told, "{ran:?}");
    }
}

/// A client that is told reclaims on all of them.
#[test]
fn nobody_is_told_before_all_recover_and_are_exported() {
    let network = network();
    let dir = &network.node.dir;
    let both = dir.read("statd/etab");
    let one: Vec<_> = both.lines().take(1).collect();
    let without = BOTH_RECOVER.replace("fsid=5678 phase=recovering", "fsid=5678 phase=released");
    for (status, etab, why) in [
        (without.as_str(), both.as_str(), "does not recover here"),
        (
            BOTH_RECOVER,
            &format!("{}\n", one[0]),
            "is not exported here",
        ),
    ] {
        dir.write("nfsd/failover_status", status);
        dir.write("statd/etab", etab);
        let script = format!(
            "responders 10.99.0.1 10.99.0.2 10.99.0.3
            $CTL notify --ip {IP} --timeout 5 || echo $? >exit"
        );
        let Some(ran) = network.run(&script) else {
            return;
        };
        assert_eq!(dir.read("exit"), "1\n", "{ran:?}");
        assert!(
            ran.err
                .contains(&format!("{} {why}", dir.path("srv2").display())),
            "{ran:?}"
        );
        assert!(network.log().is_empty(), "{ran:?}");
    }
}

/// Who is removed by hand is removed from all.
#[test]
fn a_client_is_forgotten_on_each() {
    let node = pair(ELSEWHERE);
    for path in ["srv", "srv2"] {
        node.dir.write(&record(path, ELSEWHERE, "10.77.0.13"), "");
    }
    let ran = node.run(&["records", "--forget", "10.77.0.13", "--ip", ELSEWHERE]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    for path in ["srv", "srv2"] {
        assert!(!node
            .dir
            .path(&record(path, ELSEWHERE, "10.77.0.13"))
            .exists());
    }
}
