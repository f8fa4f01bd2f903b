// SPDX-License-Identifier: GPL-2.0-only

use crate::common::{
    Node,
    ELSEWHERE, //
};
use crate::group::{
    beside,
    marks, //
};
use serde_json::{
    json,
    Value, //
};
use std::fs::{
    self,
    Permissions, //
};
use std::os::unix::fs::PermissionsExt;

/// A node that has these records, and a kernel that knows these clients.
fn node(on_record: &[&str], known: &[&str]) -> Node {
    let node = Node::new(ELSEWHERE, "");
    let clients = format!("srv/.nsm/{ELSEWHERE}/clients");
    let path = node.dir.path(&clients);
    fs::create_dir_all(&path).unwrap();
    for (dir, mode) in path.ancestors().zip([0o700, 0o711, 0o711]) {
        fs::set_permissions(dir, Permissions::from_mode(mode)).unwrap();
    }
    for client in on_record {
        node.dir.write(&format!("{clients}/{client}"), "");
    }
    // What is read after a question goes on behind it.
    let mut text = "x".repeat(format!("?{ELSEWHERE}\n").len());
    for client in known {
        text += &format!("client={client} monitored=yes recorded=yes\n");
    }
    text += &format!(
        "end clients={} unrecorded=0 lost=7 ip={ELSEWHERE}\n",
        known.len()
    );
    node.dir.write("nfsd/floating_ips", &text);
    node
}

#[test]
fn who_is_not_on_record_is_named() {
    let node = node(&["10.77.0.13", "10.77.0.15"], &["10.77.0.13", "10.77.0.14"]);
    let ran = node.run(&["status"]);
    assert_eq!(ran.exit, 3, "{ran:?}");
    assert!(
        ran.out.contains(&format!(
            "records s1 ip={ELSEWHERE} known=2 on_record=2 missing=1 lost=7\n"
        )) && ran.out.contains("NOT ON RECORD")
            && ran.out.contains("10.77.0.14"),
        "{ran:?}"
    );
    let ran = node.run(&["--json", "status"]);
    let status: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        status["records"],
        json!([{ "service": "s1", "ip": ELSEWHERE, "known": 2, "on_record": 2,
                 "missing": ["10.77.0.14"], "lost": 7, "trouble": [] }])
    );
}

#[test]
fn all_is_well_if_all_are_on_record() {
    // That more are on record is none of the kernel's business.
    for on_record in [&["10.77.0.13"][..], &["10.77.0.13", "c1"]] {
        let ran = node(on_record, &["10.77.0.13"]).run(&["status"]);
        assert!(ran.exit == 0 && !ran.out.contains("NOT"), "{ran:?}");
    }
}

/// What is mounted beside it and was not taken over yet has no records, and whom the kernel knows is not
/// refused for that.
#[test]
fn nobody_has_to_be_on_record_where_nothing_was_taken_over_yet() {
    let node = node(&["10.77.0.13"], &["10.77.0.13"]);
    beside(&node, ELSEWHERE);
    marks(&node, &["1234"], ELSEWHERE);
    let before = node.dir.read("nfsd/floating_ips");
    for words in [&["status"][..], &["records"]] {
        let ran = node.run(words);
        assert!(
            ran.exit == 0 && !ran.out.contains("NOT"),
            "{words:?} {ran:?}"
        );
        assert!(
            ran.out.contains("records s1") && !ran.out.contains("records s2"),
            "{ran:?}"
        );
    }
    // Nobody has told the kernel that a record is missing.
    assert_eq!(node.dir.read("nfsd/floating_ips").len(), before.len());
    // It was taken over.
    marks(&node, &["5678"], ELSEWHERE);
    let ran = node.run(&["status"]);
    assert!(ran.exit == 3 && ran.out.contains("records s2"), "{ran:?}");
}

#[test]
fn records_that_cannot_be_made_are_trouble() {
    let node = node(&[], &[]);
    let state_dir = node.dir.path("srv/.nsm");
    let breaks: [&dyn Fn(); 2] = [
        // Anybody could put other records there.
        &|| fs::set_permissions(&state_dir, Permissions::from_mode(0o777)).unwrap(),
        &|| fs::remove_dir_all(&state_dir).unwrap(),
    ];
    for (break_it, why) in breaks.into_iter().zip(["mode is 777", "is missing"]) {
        break_it();
        let ran = node.run(&["status"]);
        assert!(
            ran.exit == 3 && ran.out.contains("CANNOT BE RECORDED") && ran.out.contains(why),
            "{ran:?}"
        );
    }
    // What is not active here is no trouble.
    node.dir.write("nfsd/floating_ips", "");
    assert_eq!(node.run(&["status"]).exit, 0);
}

#[test]
fn who_has_locks_is_not_forgotten() {
    let node = node(&["10.77.0.13"], &["10.77.0.13"]);
    let answer = |answer: &str| {
        let asked = "x".repeat(format!("?{ELSEWHERE} 10.77.0.13\n").len());
        node.dir
            .write("nfsd/floating_ips", &format!("{asked}{answer} lost=0\n"));
    };
    let forget = || node.run(&["records", "--forget", "10.77.0.13", "--ip", ELSEWHERE]);
    let path = node
        .dir
        .path(&format!("srv/.nsm/{ELSEWHERE}/clients/10.77.0.13"));
    answer("client=10.77.0.13 monitored=yes recorded=yes\nend clients=1");
    let ran = forget();
    assert!(ran.exit == 1 && ran.err.contains("stays on record") && path.exists());
    answer("client=10.77.0.13 monitored=no recorded=yes\nend clients=1");
    let ran = forget();
    assert!(ran.exit == 0 && !path.exists(), "{ran:?}");
    assert!(node
        .dir
        .read("nfsd/floating_ips")
        .starts_with(&format!("-{ELSEWHERE} 10.77.0.13\n")));
}
