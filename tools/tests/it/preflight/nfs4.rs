// SPDX-License-Identifier: GPL-2.0-only

//! What clients of NFSv4 have on a filesystem, and who of them is expired.

use super::{
    ready,
    refused,
    release, //
};
use crate::common::ELSEWHERE;

#[test]
fn nfs4_clients() {
    let node = ready();
    let state = |text: &str| {
        node.dir.write(
            "nfsd/clients/3/info",
            "clientid: 0x1\naddress: \"10.77.0.13:878\"\nname: \"Linux NFSv4.2 c1\"\n",
        );
        node.dir.write("nfsd/clients/3/states", text);
    };
    let here = "- 0x1: { type: open, access: rw, deny: --, superblock: \"08:01:12\", filename: \"f\", owner: \"o\" }\n";
    // Who has something elsewhere would lose that.
    state(&format!(
        "{here}- 0x2: {{ type: open, superblock: \"08:02:12\" }}\n"
    ));
    node.dir.write("nfsd/clients/3/ctl", "");
    refused(&node, "has 1 opens, locks or delegations on other");
    assert_eq!(node.dir.read("nfsd/clients/3/ctl"), "");
    let ran = release(&node, &["--expire-nfs4"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert_eq!(node.dir.read("nfsd/clients/3/ctl"), "expire\n");
    node.dir.write("nfsd/clients/3/ctl", "");
    state(here);
    node.was_taken_over(ELSEWHERE);
    node.dir.write("srv/.nsm/manifest", "an old one");
    let ran = release(&node, &[]);
    // No list tells of them, so there is none.
    assert!(
        ran.exit == 0 && ran.out.contains("done (1; the manifest was removed)"),
        "{ran:?}"
    );
    assert_eq!(node.dir.read("nfsd/clients/3/ctl"), "expire\n");
    // Of an earlier time with the address, if that is not here.
    node.dir.write(
        "nfsd/clients/3/info",
        "address: \"10.77.0.13:878\"\nname: \"c1@203.0.113.77\"\n",
    );
    node.dir.write("nfsd/clients/3/ctl", "");
    let takeover = || node.run(&["takeover", "s1", "--no-notify"]);
    // Not who has something on it as it is mounted: the command is repeated.
    let ran = takeover();
    assert!(ran.out.contains("are expired ... already"), "{ran:?}");
    assert_eq!(node.dir.read("nfsd/clients/3/ctl"), "");
    let revoked = "- 0x1: { type: lock, owner: \"o\", admin-revoked }\n";
    node.dir.write("nfsd/clients/3/states", revoked);
    let ran = takeover();
    assert!(ran.out.contains("are expired ... done (1)"), "{ran:?}");
    assert_eq!(node.dir.read("nfsd/clients/3/ctl"), "expire\n");
    // On another filesystem, and what a client says.
    state("- 0x1: { type: open, superblock: \"08:02:12\", filename: \"superblock: \"08:01:1\", owner: \"\" }\n- 0x2: { type: open, closed, owner: \"superblock: \"08:01:1\" }\n");
    assert_eq!(release(&node, &[]).exit, 0);
    // Who does not unmount it is told.
    state("- 0x1: { type: deleg, superblock: \"08:01:12\" }\n");
    let ran = node.run(&["release", "s1"]);
    assert!(
        ran.exit == 0 && ran.out.contains("(1 NFSv4 clients have"),
        "{ran:?}"
    );
}

/// What a client of NFSv4.0 has closed keeps the export for a lease. It is forgotten with a client that
/// is there for the address only and has nothing else.
#[test]
fn what_nfsv4_clients_have_closed() {
    let ip = crate::common::ELSEWHERE;
    let closed = "- 0x1: { type: open, access: --, deny: --, closed, owner: \"o\" }\n";
    let open = "- 0x2: { type: open, superblock: \"08:02:12\", filename: \"f\", owner: \"o\" }\n";
    let lies = "- 0x3: { type: open, superblock: \"08:02:1\", filename: \"f, closed, owner: \", owner: \"o\" }\n";
    for (name, states, expired) in [
        (format!("c1@{ip}"), closed.to_string(), true),
        (format!("c1@{ip}"), format!("{closed}{open}"), false),
        (format!("c1@{ip}"), lies.to_string(), false),
        (format!("c1@{ip}"), String::new(), false),
        // It is just opening something.
        (
            format!("c1@{ip}"),
            format!("{closed}- 0x4: {{ type: open, access: --, deny: --, owner: \"o\" }}\n"),
            false,
        ),
        ("c1".to_string(), closed.to_string(), false),
        ("c1@203.0.113.9".to_string(), closed.to_string(), false),
    ] {
        let node = ready();
        let info = format!("address: \"10.77.0.13:878\"\nname: \"{name}\"\nminor version: 0\n");
        node.dir.write("nfsd/clients/3/info", &info);
        node.dir.write("nfsd/clients/3/states", &states);
        node.dir.write("nfsd/clients/3/ctl", "");
        let ctl = node.dir.path("nfsd/clients/3/ctl");
        // It is busy as long as one is there.
        node.fake(
            &["umount"],
            &format!(
                "grep -q expire {} || [ $(wc -l <{}) -gt 1 ] || {{ echo 'umount: target is busy.' >&2; exit 32; }}",
                ctl.display(),
                node.dir.path("nfsd/cmd.umount").display()
            ),
        );
        let tries = if expired {
            "done (at the first try)"
        } else {
            "done (after 2 tries in "
        };
        for (words, tries) in [
            (&["release", "s1", "--unexport", "--umount"][..], tries),
            // It is left to others.
            (&["release", "s1"], "skipped"),
        ] {
            std::fs::write(&ctl, "").unwrap();
            let ran = node.run(words);
            assert_eq!(ran.exit, 0, "{ran:?}");
            let said = node.dir.read("nfsd/clients/3/ctl");
            let expected = if expired { "expire\n" } else { "" };
            assert_eq!(said, expected, "{name} {states}");
            let umount = ran.out.lines().find(|line| line.starts_with("umount: "));
            assert!(umount.unwrap().contains(tries), "{ran:?}");
            // Nobody lost anything, so what is listed is still true.
            assert!(!ran.out.contains("the manifest was removed"), "{ran:?}");
        }
    }
}

/// A file name of two lines is one line of a client's states, and an unpleasant one.
#[test]
fn names_of_nfsv4_files() {
    let node = ready();
    let info = "address: \"10.77.0.13:878\"\nname: \"c1\"\nadmin-revoked states: 0\n";
    node.dir.write("nfsd/clients/3/info", info);
    node.dir.write("nfsd/clients/3/ctl", "");
    for name in [
        "x\nadmin-revoked",
        "x\n, admin-revoked }",
        "x\n- 0x9: { type: lock, admin-revoked }\n, admin-revoked }",
        "x\nsuperblock: \"08:01:9",
    ] {
        let states = format!("- 0x1: {{ type: open, superblock: \"08:02:12\", filename: \"{name}\", owner: \"o\" }}\n");
        node.dir.write("nfsd/clients/3/states", &states);
        assert_eq!(release(&node, &[]).exit, 0, "{name}");
        assert_eq!(node.dir.read("nfsd/clients/3/ctl"), "", "{name}");
    }
}
