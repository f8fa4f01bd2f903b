// SPDX-License-Identifier: GPL-2.0-only

use crate::common::{
    Node,
    Scratch,
    CTL,
    ELSEWHERE, //
};
use nfs_failoverctl::check::{
    check,
    Findings, //
};
use nfs_failoverctl::config::{
    Config,
    OnRecordFailure, //
};
use nfs_failoverctl::host::Host;
use std::fs::{
    self,
    Permissions, //
};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const SERVICE: &str =
    "[[service]]\nname = \"s1\"\npath = \"/srv/s1\"\nfsid = \"1234\"\nip = \"10.77.0.101\"\n";

#[test]
fn reads_everything() {
    let config = Config::parse(&format!(
        "on_record_failure = \"refuse\"\nstatd_dir = \"/x\"\n{SERVICE}grace = 30\nfence = 60\ndevice = \"/dev/sdb1\"\n\
         mount_options = \"noatime\"\ninterface = \"eth0\"\nprefix = 24\nexports = [\"10.0.0.0/8:rw\"]\n\
         [[service]]\nname = \"s2\"\npath = \"/srv/s2\"\nip = \"::ffff:10.77.0.102\"\nfsid = \"root\"\nstate_dir = \"/state\"\n"
    ))
    .unwrap();
    assert_eq!(config.on_record_failure, OnRecordFailure::Refuse);
    let (s1, s2) = (&config.services[0], &config.services[1]);
    assert_eq!(s1.state_dir(), Path::new("/srv/s1/.nsm"));
    assert_eq!(
        (s2.state_dir().as_path(), s2.ip.to_string()),
        (Path::new("/state"), "10.77.0.102".into())
    );
    assert_eq!(s2.fsid.unwrap().to_string(), "0");
    assert_eq!(
        Config::parse("").unwrap().statd_dir,
        Path::new("/var/lib/nfs")
    );
}

#[test]
fn what_cannot_be_read_is_said() {
    let cases = [
        ("nonsense = 1\n", "unknown field `nonsense`"),
        ("on_record_failure = \"maybe\"\n", "unknown variant `maybe`"),
        ("[[service]]\nname = \"s1\"\n", "missing field"),
        ("[[service]\n", "line 1"),
        ("\n\n[[service]]\nname = 5\n", "line 4"),
        (&format!("{SERVICE}gracee = 5\n"), "unknown field `gracee`"),
        (&SERVICE.replace("1234", "12345678901"), "neither a number"),
        (&SERVICE.replace("1234", "-1"), "neither a number"),
        (
            &SERVICE.replace("10.77.0.101", "10.77.0.101/24"),
            "without prefix",
        ),
        (&SERVICE.replace("10.77.0.101", "server1"), "no address"),
        (&SERVICE.replace("10.77.0.101", "0.0.0.0"), "no address"),
        (&format!("{SERVICE}grace = -1\n"), "line 6"),
        (&format!("{SERVICE}prefix = 500\n"), "line 6"),
    ];
    for (text, expected) in cases {
        let error = Config::parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

fn found(text: &str) -> Findings {
    let dir = Scratch::new();
    fs::create_dir_all(dir.path("sm")).unwrap();
    let host = Host {
        nfsd: dir.path("nfsd"),
        mountinfo: dir.write("mountinfo", ""),
    };
    let statd = format!("statd_dir = \"{}\"\n", dir.path("").display());
    check(&Config::parse(&(statd + text)).unwrap(), &host)
}

#[test]
fn what_contradicts_is_said() {
    assert_eq!(found(SERVICE), Findings::default());
    let other = |name: &str, path: &str, fsid: &str, ip: &str| {
        format!("{SERVICE}[[service]]\nname = \"{name}\"\npath = \"{path}\"\nfsid = \"{fsid}\"\nip = \"{ip}\"\n")
    };
    // One filesystem with two floating IPs.
    assert_eq!(
        found(&other("s2", "/srv/s1", "1234", "10.77.0.102")),
        Findings::default()
    );
    let errors = [
        (
            other("s1", "/srv/s2", "5", "10.77.0.102"),
            "another service has this name",
        ),
        (
            other("s2", "/srv/s2", "5", "10.77.0.101"),
            "has the ip 10.77.0.101, too",
        ),
        (
            other("s2", "/srv/s2", "1234", "10.77.0.102"),
            "has the same fsid, but another path",
        ),
        (
            other("s2", "/srv/s1", "5", "10.77.0.102"),
            "has the same path, but another fsid",
        ),
        (SERVICE.replace("\"s1\"", "\"s 1\""), "has blanks"),
        (SERVICE.replace("/srv/s1", "srv/s1"), "is relative"),
        (SERVICE.replace("/srv/s1", "/srv/../s1"), "has a \"..\""),
        (SERVICE.replace("/srv/s1", "/"), "cannot move"),
        (
            format!("{SERVICE}state_dir = \"nsm\"\n"),
            "state_dir nsm is relative",
        ),
        (format!("{SERVICE}device = \"/dev/../sdb\"\n"), "device"),
        (format!("{SERVICE}grace = 0\n"), "ends a recovery"),
        (format!("{SERVICE}grace = 86401\n"), "grace is more"),
        (format!("{SERVICE}fence = 86401\n"), "fence is more"),
        (
            format!("{SERVICE}interface = \"eth0\"\n"),
            "belong together",
        ),
        (
            format!("{SERVICE}interface = \"eth0\"\nprefix = 33\n"),
            "more than 32",
        ),
        (
            format!("{SERVICE}exports = [\"10.0.0.0/8\"]\n"),
            "is not CLIENT:OPTIONS",
        ),
        (
            format!("{SERVICE}exports = [\"*:rw,fsid=1\"]\n"),
            "leave it out",
        ),
    ];
    for (text, expected) in &errors {
        let found = found(text);
        assert!(
            found.errors.iter().any(|error| error.contains(expected)),
            "{text}: {found:?}"
        );
    }
    let warnings = [
        (
            format!("{SERVICE}state_dir = \"/state\"\n"),
            "is not under /srv/s1",
        ),
        (SERVICE.replace("fsid = \"1234\"\n", ""), "no fsid"),
        (String::new(), "no [[service]]"),
    ];
    for (text, expected) in &warnings {
        let found = found(text);
        assert!(found.errors.is_empty(), "{found:?}");
        assert!(
            found
                .warnings
                .iter()
                .any(|warning| warning.contains(expected)),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn the_command_looks_at_the_machine() {
    let node = Node::new(ELSEWHERE, "");
    let ran = node.run(&["config", "check"]);
    assert!(
        ran.exit == 1 && ran.err.contains("takeover s1\" creates it"),
        "{ran:?}"
    );
    fs::create_dir_all(node.dir.path(&format!("srv/.nsm/{ELSEWHERE}/clients"))).unwrap();
    let ran = node.run(&["config", "check"]);
    assert!(ran.exit == 0 && ran.out.contains("can be used"), "{ran:?}");
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(node.dir.path("statd/sm"), Some(12345), None).unwrap();
        let ran = node.run(&["config", "check"]);
        assert!(
            ran.exit == 1 && ran.err.contains("but rpc.statd runs as 12345"),
            "{ran:?}"
        );
    }
    let mode = |name: &str, mode| {
        fs::set_permissions(node.dir.path(name), Permissions::from_mode(mode)).unwrap()
    };
    mode("config", 0o600);
    let ran = node.run(&["config", "check"]);
    assert!(ran.exit == 1 && ran.err.contains("chmod o+r"), "{ran:?}");
    mode("config", 0o644);
    if nix::unistd::geteuid().is_root() {
        mode("srv", 0o700);
        let ran = node.run(&["config", "check"]);
        assert!(
            ran.exit == 1 && ran.err.contains("12345 cannot enter"),
            "{ran:?}"
        );
    }
    fs::remove_dir_all(node.dir.path("statd/sm")).unwrap();
    let ran = node.run(&["--json", "config", "check"]);
    assert!(
        ran.exit == 1 && ran.out.contains("see statd_dir"),
        "{ran:?}"
    );
    let missing = Command::new(CTL)
        .args(["--config", "/nowhere", "config", "check"])
        .output()
        .unwrap();
    assert_eq!(missing.status.code(), Some(1));
}

#[test]
fn usage_errors_are_2() {
    for arguments in [
        &["frobnicate"][..],
        &[],
        &["notify"],
        &["release", "--fsid", "x"],
        &["release", "--fence", "0"],
    ] {
        let ran = Command::new(CTL).args(arguments).output().unwrap();
        assert_eq!(ran.status.code(), Some(2), "{arguments:?}");
    }
    let help = Command::new(CTL)
        .args(["takeover", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("finds the filesystem not"), "{help}");
    assert!(
        !help.contains("mountinfo") && !help.contains("rpcbind-port"),
        "{help}"
    );
}
