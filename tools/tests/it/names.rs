// SPDX-License-Identifier: GPL-2.0-only

use crate::common::Scratch;
use nfs_failoverctl::names::{
    asked,
    is_name,
    statd_asks, //
};

#[test]
fn statd_must_not_ask_name_servers() {
    let proc = Scratch::new();
    let process = |pid: u32, name: &str, nsswitch: &str| {
        proc.write(&format!("{pid}/comm"), &format!("{name}\n"));
        proc.write(&format!("{pid}/root/etc/nsswitch.conf"), nsswitch);
    };
    process(7, "rpc.mountd", "hosts: files dns\n");
    proc.write("uptime", "1");
    assert_eq!(statd_asks(&proc.path("")), None);
    process(8, "rpc.statd", include_str!("../../systemd/nsswitch.conf"));
    assert_eq!(statd_asks(&proc.path("")), None);
    process(8, "rpc.statd", "passwd: files\nhosts:\tfiles dns # all\n");
    let warning = statd_asks(&proc.path("")).unwrap();
    assert!(warning.contains("\"files dns\""), "{warning}");
}

#[test]
fn where_hosts_are_looked_up() {
    for (file, expected) in [
        ("hosts: files\n", None),
        ("passwd: files\n hosts:\tfiles \t# dns\n", None),
        ("hosts: files resolve\n", Some("files resolve")),
        ("# hosts: files\n", Some("dns [!UNAVAIL=return] files")),
    ] {
        assert_eq!(asked(file), expected, "{file}");
    }
}

#[test]
fn exports_for_names() {
    for address in [
        "*",
        "10.0.0.0/8",
        "10.0.0.1",
        "10.0.0.0/255.0.0.0",
        "fd00::/64",
        "[fd00::5]/64",
        "[fd00::5]",
    ] {
        assert!(!is_name(address), "{address}");
    }
    for name in ["client1", "*.example.net", "@group", "10.example.net"] {
        assert!(is_name(name), "{name}");
    }
}
