// SPDX-License-Identifier: GPL-2.0-only

//! The configuration file was edited while both were served: no move begins, and nobody is told.

use super::{
    mark,
    marks,
    pair,
    with_another_address,
    without_second, //
};
use crate::common::{
    Node,
    BOOT,
    ELSEWHERE,
    HERE,
    OTHER_BOOT, //
};

/// The address that was written into the file.
const NEW: &str = "203.0.113.78";

/// Both were taken over by an address, and the kernel has it.
fn served(ip: &str) -> Node {
    let node = pair(ip);
    node.was_taken_over(ip);
    marks(&node, &["1234", "5678"], ip);
    node
}

/// It is refused, and nothing was changed.
#[track_caller]
fn refused(node: &Node, words: &[&str], why: &[&str]) {
    let before = [
        "nlm_unlock",
        "nlm_set_igrace",
        "floating_ips",
        "cmd.ip",
        "cmd.exportfs",
    ];
    let look = || before.map(|file| node.dir.read(&format!("nfsd/{file}")));
    let seen = look();
    for command in ["release", "takeover"] {
        for more in [&["--address"][..], &["--force"], &["--dry-run"]] {
            if command == "takeover" && more == ["--force"] {
                continue;
            }
            let ran = node.run(&[&[command], words, more].concat());
            assert_eq!(ran.exit, 1, "{ran:?}");
            for word in why {
                assert!(ran.err.contains(word), "{word}: {ran:?}");
            }
            assert_eq!((ran.out.as_str(), look()), ("", seen.clone()));
        }
    }
}

/// Clients use the one of before, which is up.
#[test]
fn another_address_is_written_for_both() {
    let node = served(HERE);
    let edited = node.dir.read("config").replace(HERE, NEW);
    node.dir.write("config", &edited);
    let advice = format!("take {HERE} down first");
    refused(&node, &["s1", "s2"], &["srv was taken over by", &advice]);
    // Whoever has it by now.
    with_another_address(&node, HERE);
    let other = node.dir.read("config");
    let at = other.rfind("[[service]]").unwrap();
    let other =
        other[..at].to_string() + &other[at..].replace("srv2\"", "srv3\"").replace("5678", "9");
    node.dir.write("config", &other);
    refused(&node, &["s1", "s2"], &[&advice]);
    // It is one of its own still, or is named.
    let node = served(HERE);
    with_another_address(&node, NEW);
    let ran = node.run(&["release", "s1", "s2", "s2-0", "--dry-run"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
}

/// It is exported still, and would be left behind its address.
#[test]
fn a_filesystem_is_taken_out_of_the_file() {
    for ip in [HERE, ELSEWHERE] {
        let node = served(ip);
        without_second(&node);
        let file = node.dir.path(&mark("5678")).display().to_string();
        refused(&node, &["s1"], &[&file, "fsid 5678", ip]);
        // Its clients would reclaim on it, too.
        let ran = node.run(&["notify", "--ip", ip]);
        assert!(ran.exit == 1 && ran.err.contains("fsid 5678"), "{ran:?}");
        // It has another address by now, and so the first one.
        let edited = node.dir.read("config").replace(ip, NEW);
        node.dir.write("config", &edited);
        refused(&node, &["s1"], &[&file, "fsid 5678"]);
    }
    // It was taken over before this machine was booted, or by another address.
    for (boot, ip) in [(OTHER_BOOT, ELSEWHERE), (BOOT, NEW)] {
        let node = served(ELSEWHERE);
        without_second(&node);
        node.dir
            .write(&mark("5678"), &format!("{boot}\n1\nip={ip}\n"));
        let ran = node.run(&["release", "s1", "--dry-run"]);
        assert_eq!(ran.exit, 0, "{ran:?}");
    }
    // It has another address by the file, and is not named.
    let node = served(ELSEWHERE);
    let file = node.dir.read("config");
    let at = file.rfind("[[service]]").unwrap();
    let edited = file[..at].to_string() + &file[at..].replace(ELSEWHERE, NEW);
    node.dir.write("config", &edited);
    refused(&node, &["s1"], &["fsid 5678"]);
}

/// After a crash nobody else may serve what is taken over, and whoever does so may know better.
#[test]
fn a_takeover_goes_on_if_somebody_wants_it_so() {
    let node = served(ELSEWHERE);
    without_second(&node);
    let ran = node.run(&["takeover", "s1", "--no-notify", "--force"]);
    assert_eq!(ran.exit, 3, "{ran:?}");
    assert!(
        ran.err.contains("--force: the filesystem with fsid 5678"),
        "{ran:?}"
    );
    assert_eq!(node.dir.read("nfsd/nlm_set_igrace"), "1234\n");
    // A mark that cannot be read is no reason either.
    node.dir.write(&mark("5678"), "");
    assert_eq!(node.run(&["takeover", "s1", "--no-notify"]).exit, 1);
    let ran = node.run(&["takeover", "s1", "--no-notify", "--force"]);
    assert_eq!(ran.exit, 3, "{ran:?}");
    // Of what is not here any more one keeps nobody from anything.
    let exports = node.dir.read("statd/etab");
    let first = exports.lines().next().unwrap();
    node.dir.write("statd/etab", &format!("{first}\n"));
    for command in ["takeover", "release"] {
        let ran = node.run(&[command, "s1", "--dry-run"]);
        assert_eq!(ran.exit, 0, "{ran:?}");
        assert!(ran.err.contains("remove that file"), "{ran:?}");
    }
}
