// SPDX-License-Identifier: GPL-2.0-only

//! Two nodes beside each other.

use super::well;
use crate::common::ELSEWHERE;
use nfs_failoverctl::doctor::finding::Verdict;
use nfs_failoverctl::doctor::sheet::{
    compare,
    Served,
    Sheet, //
};

fn sheet() -> Sheet {
    let served = Served {
        path: "/srv/s1".into(),
        fsid: Some("1234".into()),
        ip: "10.77.0.100".into(),
        ..Served::default()
    };
    Sheet {
        name: Some("a".into()),
        time: 1000.0,
        scope: Some("cluster1".into()),
        lease: Some(15),
        key: Some("00ff".into()),
        on_record_failure: Some("grant".into()),
        ports: ["lockd/tcp", "lockd/udp", "statd/tcp", "mountd/tcp"]
            .map(|name| (name.into(), 4001))
            .into(),
        services: [("s1".into(), served)].into(),
        ..Sheet::default()
    }
}

#[test]
fn nodes_are_compared() {
    let verdict = |change: &dyn Fn(&mut Sheet)| {
        let mut theirs = Sheet {
            name: Some("b".into()),
            ..sheet()
        };
        change(&mut theirs);
        let found = compare(&sheet(), &theirs, 1000.0);
        found.iter().map(|finding| finding.verdict).max().unwrap()
    };
    assert_eq!(verdict(&|_| {}), Verdict::Ok);
    let served = |change: fn(&mut Served)| {
        move |theirs: &mut Sheet| change(theirs.services.get_mut("s1").unwrap())
    };
    assert_eq!(
        verdict(&served(|s| s.fsid = Some("5".into()))),
        Verdict::Error
    );
    assert_eq!(
        verdict(&served(|s| s.ip = "10.77.0.101".into())),
        Verdict::Error
    );
    assert_eq!(verdict(&served(|s| s.grace = Some(5))), Verdict::Warning);
    assert_eq!(verdict(&|theirs| theirs.services.clear()), Verdict::Error);
    assert_eq!(
        verdict(&|theirs| drop(theirs.services.insert("s2".into(), Served::default()))),
        Verdict::Error
    );
    assert_eq!(
        verdict(&|theirs| theirs.scope = Some("b".into())),
        Verdict::Error
    );
    assert_eq!(verdict(&|theirs| theirs.scope = None), Verdict::Unknown);
    assert_eq!(
        verdict(&|theirs| theirs.key = Some(String::new())),
        Verdict::Error
    );
    assert_eq!(
        verdict(&|theirs| *theirs.ports.get_mut("lockd/tcp").unwrap() = 1),
        Verdict::Warning
    );
    assert_eq!(verdict(&|theirs| theirs.lease = Some(90)), Verdict::Warning);
    assert_eq!(
        verdict(&|theirs| theirs.name = Some("a".into())),
        Verdict::Error
    );
    // It was written before ours.
    assert_eq!(verdict(&|theirs| theirs.time = 996.0), Verdict::Ok);
    assert_eq!(verdict(&|theirs| theirs.time = 990.0), Verdict::Unknown);
    assert_eq!(verdict(&|theirs| theirs.time = 1002.0), Verdict::Error);
    assert_eq!(verdict(&|theirs| theirs.time = f64::NAN), Verdict::Unknown);
}

#[test]
fn another_node_is_compared_by_what_its_doctor_said() {
    let (a, b) = (well(ELSEWHERE), well(ELSEWHERE));
    b.dir.write("root/proc/sys/kernel/hostname", "b\n");
    let same = a.dir.read("config");
    b.dir.write("config", &same);
    let said = b.run(&["doctor", "--json"]).out;
    let file = a.dir.write("b.json", &said).display().to_string();
    let ran = a.run(&["doctor", "--all", "--compare", &file]);
    // On a busy machine it may have been on its way for long.
    let compared = [
        "its clock differs by less than 5 s",
        "the clocks were not compared",
    ];
    let out = ran.out.replace("\n         ", " ");
    assert!(compared.iter().any(|said| out.contains(said)), "{ran:?}");
    assert!(!out.contains("fsid is"), "{ran:?}");
    b.dir
        .write("config", &same.replace("fsid = \"1234\"", "fsid = \"99\""));
    let said = b.run(&["doctor", "--json"]).out;
    a.dir.write("b.json", &said);
    let ran = a.run(&["doctor", "--compare", &file]);
    assert!(
        ran.exit == 1
            && ran
                .out
                .contains("fsid is 1234 here and 99 on the other node"),
        "{ran:?}"
    );
    for (said, expected) in [
        ("{}", "is not what doctor --json prints"),
        ("[]", "is not what doctor --json prints"),
        ("3", "is not what doctor --json prints"),
        ("", "is not what doctor --json prints"),
        ("{\"version\":1}", "it has no node"),
        ("{\"version\":1,\"node\":null}", "says nothing of that node"),
        (
            "{\"version\":1,\"node\":[]}",
            "is not what doctor --json prints",
        ),
        ("{\"version\":7,\"node\":{}}", "prints version 7"),
        (&a.run(&["doctor", "--json"]).out, "both sides are of a"),
    ] {
        a.dir.write("b.json", said);
        let ran = a.run(&["doctor", "--compare", &file]);
        let out = ran.out.replace("\n         ", " ");
        assert!(ran.exit == 1 && out.contains(expected), "{said}: {ran:?}");
    }
}
