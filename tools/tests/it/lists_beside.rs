// SPDX-License-Identifier: GPL-2.0-only

//! What clients of NLM had and what clients of NFSv4 had, on two lists that belong together.

use crate::awaited::{
    anything,
    of_client,
    LIST,
    OPEN, //
};
use crate::common::{
    Node,
    Ran,
    BOOT,
    ELSEWHERE,
    MANIFEST, //
};

const SAID: &str = "unit fsid=1234 phase=released taken=1763731234.000000001 valid=60 nfs4=listed";

/// The kernel's manifest of a filesystem on which NFSv4 clients had something, too.
fn manifest() -> String {
    let rest: Vec<_> = MANIFEST.lines().skip(2).collect();
    format!("nfs-failover-manifest 2\n{SAID}\n{}\n", rest.join("\n"))
}

fn list() -> String {
    let files = anything(&[12]);
    format!(
        "nfs-failover nfs4-clients 3\n{SAID}\nclient name=c@{ELSEWHERE}\n{files}end clients=1 files=1 locks=0\n"
    )
}

/// A release where both had something, of which the kernel then has this manifest.
fn released(manifest: &str) -> (Node, Ran) {
    let name = format!("c@{ELSEWHERE}");
    let node = of_client("manifest=none nfs4=also", "2", &name, "confirmed", OPEN);
    let pad = "x".repeat("1234\n".len());
    node.dir
        .write("nfsd/nfs4_clients", &format!("{pad}{SAID}\n"));
    node.dir
        .write("nfsd/lock_manifest", &format!("{pad}{manifest}"));
    let ran = node.run(&["release", "s1"]);
    (node, ran)
}

#[test]
fn both_are_left() {
    let (node, ran) = released(&manifest());
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert_eq!(node.dir.read(LIST), list());
    assert_eq!(node.dir.read("srv/.nsm/manifest"), manifest());
    assert!(ran.out.contains("takeover waits for 1 of them"), "{ran:?}");
}

#[test]
fn half_of_both_is_none() {
    let whole = manifest();
    let (node, ran) = released(&whole[..whole.len() - 20]);
    assert!(
        ran.exit == 3 && ran.out.contains("so takeover waits its time"),
        "{ran:?}"
    );
    for left in [LIST, "srv/.nsm/manifest"] {
        assert!(!node.dir.path(left).exists(), "{left} {ran:?}");
    }
}

/// The unit that recovers has this beside its counters.
fn takes_over(unit: &str, list: &str) -> (String, Ran) {
    let node = Node::new(ELSEWHERE, "");
    node.dir.write("nfsd/nfs4_clients", "");
    let unit =
        format!("unit fsid=1234 phase=recovering left=99 reclaimed=0 refused=0 waits=0{unit}\n");
    node.dir.write("nfsd/failover_status", &unit);
    node.dir.write(LIST, list);
    let mark = "root/run/nfs-failover/taken-over-1234";
    node.dir
        .write(mark, &format!("{BOOT}\n1\nip={ELSEWHERE}\n"));
    let ran = node.run(&["takeover", "s1", "--no-notify"]);
    assert!(!node.dir.path(LIST).exists(), "{ran:?}");
    // That NFSv4 clients are through says nothing of the others.
    let noted = node.dir.read(mark).contains("nfs4-clients");
    let told = node.dir.read("nfsd/nfs4_clients");
    let alone = !told.is_empty() && !told.contains("nfs4=listed");
    assert_eq!(noted, alone, "{ran:?}");
    (told, ran)
}

/// As nodes have left it that did not say what was on the files.
fn old(version: u32, said: &str) -> String {
    format!(
        "nfs-failover nfs4-clients {version}\n{said}\nclient files=12 name=c@{ELSEWHERE}\nend clients=1\n"
    )
}

#[test]
fn the_kernel_gets_what_belongs_together() {
    let unit = SAID.strip_suffix(" nfs4=listed").unwrap();
    let (two, one) = (list(), list().replace(SAID, unit));
    let has_manifest = " manifest=2 outstanding=2";
    for (unit, list, told, exit) in [
        (has_manifest, &two, &*two, 0),
        ("", &one, &*one, 0),
        ("", &two, "", 0),
        (has_manifest, &one, "", 0),
        (has_manifest, &old(2, SAID), &*two, 0),
        ("", &old(1, unit), &*one, 0),
        (has_manifest, &old(1, SAID), "", 3),
        (has_manifest, &old(2, unit), "", 3),
    ] {
        let (said, ran) = takes_over(unit, list);
        assert_eq!(said, told, "{unit} {list} {ran:?}");
        let unused = ran.out.contains("list of NFSv4 clients is not used");
        assert_eq!((unused, ran.exit), (told.is_empty(), exit), "{ran:?}");
    }
}
