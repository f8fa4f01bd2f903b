// SPDX-License-Identifier: GPL-2.0-only

//! A release of several that cannot be finished.

use super::{
    both_were_taken_over,
    mark,
    pair,
    steps,
    ALL,
    BOTH_RECOVER, //
};
use crate::common::HERE;
use std::fs;

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
