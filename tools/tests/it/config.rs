// SPDX-License-Identifier: GPL-2.0-only

use crate::common::{
    Node,
    Scratch,
    CTL,
    ELSEWHERE, //
};
use nfs_failoverctl::check::{
    check,
    selinux,
    statd_elsewhere,
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
use std::os::unix::fs::{
    symlink,
    PermissionsExt, //
};
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
        (&SERVICE.replace("10.77.0.101", "169.254.7.7"), "link-local"),
        (&SERVICE.replace("10.77.0.101", "fe80::5"), "link-local"),
        (&format!("{SERVICE}grace = -1\n"), "line 6"),
        (&format!("{SERVICE}prefix = 500\n"), "line 6"),
    ];
    for (text, expected) in cases {
        let error = Config::parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn the_manual_page_has_each_key_and_its_example_is_right() {
    let page = include_str!("../../man/nfs-failover.toml.5");
    // The parser says what it knows.
    for text in ["unknown = 1\n", &format!("{SERVICE}unknown = 1\n")] {
        let error = Config::parse(text).unwrap_err().to_string();
        let known = error.split("expected one of ").nth(1).unwrap();
        for key in known.split(", ").map(|key| key.trim_matches('`')) {
            let described = page.contains(&format!("\n.BR {key} \" = "));
            assert!(described || key == "service", "{key} is not described");
        }
    }
    let example = page.split(".EX\n").nth(1).unwrap();
    let example = example.split(".EE\n").next().unwrap();
    assert_eq!(Config::parse(example).unwrap().services.len(), 2);
    assert_eq!(found(example), Findings::default());
}

fn found(text: &str) -> Findings {
    let dir = Scratch::new();
    fs::create_dir_all(dir.path("sm")).unwrap();
    let host = Host {
        nfsd: dir.path("nfsd"),
        mountinfo: dir.write("mountinfo", ""),
        root: dir.path("root"),
        rpcbind_port: 111,
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
    // And one floating IP of two filesystems.
    let beside = || other("s2", "/srv/s2", "5", "10.77.0.101");
    assert_eq!(found(&beside()), Findings::default());
    let errors = [
        (
            other("s2", "/srv/s1", "1234", "10.77.0.101"),
            "has the same path and ip",
        ),
        (
            beside() + "interface = \"eth0\"\nprefix = 24\n",
            "another interface or prefix",
        ),
        (
            beside().replace("fsid = \"5\"\n", ""),
            "\"s2\" shares 10.77.0.101 and has no fsid",
        ),
        (
            beside() + "state_dir = \"/srv/s1/.nsm\"\n",
            "has the same state_dir",
        ),
        (
            other("s2", "/srv/s2", "5", "10.77.0.102") + "state_dir = \"/srv/s1/.nsm\"\n",
            "has the same state_dir",
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
            found.errors().iter().any(|error| error.contains(expected)),
            "{text}: {found:?}"
        );
    }
    let warnings = [
        (
            format!("{SERVICE}state_dir = \"/state\"\n"),
            "is not under /srv/s1",
        ),
        (SERVICE.replace("fsid = \"1234\"\n", ""), "no fsid"),
        (beside() + "grace = 60\n", "too, but another grace"),
        (beside() + "fence = 60\n", "too, but another fence"),
        (
            format!("{SERVICE}exports = [\"*:rw\", \"*.example.net:rw\"]\n"),
            "\"*.example.net:rw\" is for a name",
        ),
        (String::new(), "no [[service]]"),
    ];
    for (text, expected) in &warnings {
        let found = found(text);
        assert!(found.errors().is_empty(), "{found:?}");
        assert!(
            found
                .warnings()
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
        ran.exit == 1
            && ran
                .err
                .contains(".nsm is missing: \"nfs-failoverctl takeover s1\""),
        "{ran:?}"
    );
    fs::create_dir_all(node.dir.path(&format!("srv/.nsm/{ELSEWHERE}/clients"))).unwrap();
    let ran = node.run(&["config", "check"]);
    assert!(
        ran.exit == 1 && ran.err.contains(".nsm: its mode is 755, not 711"),
        "{ran:?}"
    );
    node.run(&["takeover", "s1", "--no-notify"]);
    let ran = node.run(&["config", "check"]);
    assert!(ran.exit == 0 && ran.out.contains("can be used"), "{ran:?}");
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::chown(node.dir.path("statd/sm"), Some(12345), None).unwrap();
        let ran = node.run(&["config", "check"]);
        assert!(
            ran.exit == 1 && ran.err.contains("belongs to user 0, not 12345"),
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
fn exports_at_boot_are_warned_of() {
    let node = Node::new(ELSEWHERE, "");
    node.dir.write("mountinfo", "");
    let srv = node.dir.path("srv").display().to_string();
    for (file, line, warned) in [
        ("exports", format!("# x\n{srv} *(rw)\n"), true),
        ("exports.d/x.exports", format!("\"{srv}\" *(rw)\n"), true),
        ("exports", format!("{srv}x *(rw)\n#{srv} *(rw)\n"), false),
    ] {
        let path = node.dir.write(&format!("root/etc/{file}"), &line);
        let ran = node.run(&["config", "check"]);
        assert_eq!(
            (ran.exit, ran.err.contains("is exported at boot")),
            (0, warned),
            "{line}: {ran:?}"
        );
        fs::remove_file(path).unwrap();
    }
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

#[test]
fn another_directory_of_statd_is_found() {
    let dir = Scratch::new();
    let statd_dir = dir.path("nfs");
    fs::create_dir_all(&statd_dir).unwrap();
    fs::create_dir_all(dir.path("other")).unwrap();
    symlink(&statd_dir, dir.path("link")).unwrap();
    dir.write("proc/self/comm", "cat\n");
    dir.write("proc/7/comm", "rpc.statd\n");
    let proc = dir.path("proc");
    assert_eq!(statd_elsewhere(&proc, &statd_dir), None);
    for (cwd, expected) in [("nfs", false), ("link", false), ("other", true)] {
        let _ = fs::remove_file(proc.join("7/cwd"));
        symlink(dir.path(cwd), proc.join("7/cwd")).unwrap();
        let found = statd_elsewhere(&proc, &statd_dir);
        assert_eq!(found.is_some(), expected, "{cwd} {found:?}");
    }
}

#[test]
fn nfsconf_knows_where_statd_is() {
    let node = Node::new(ELSEWHERE, "");
    let config = node.dir.read("config");
    let without: Vec<_> = config
        .lines()
        .filter(|line| !line.starts_with("statd_dir"))
        .collect();
    node.dir.write("config", &without.join("\n"));
    let nowhere = node.dir.path("nowhere").display().to_string();
    let statd = node.dir.path("statd").display().to_string();
    node.fake(&["nfsconf"], &format!("echo {statd}"));
    node.run(&["takeover", "s1", "--no-notify"]);
    for (body, found) in [
        (format!("echo {statd}"), true),
        (format!("echo {nowhere}"), false),
    ] {
        node.fake(&["nfsconf"], &body);
        let ran = node.run(&["config", "check"]);
        assert_eq!(ran.err.contains("see statd_dir"), !found, "{body} {ran:?}");
        assert_eq!(ran.err.contains(&nowhere), !found, "{body} {ran:?}");
    }
    let said = node.dir.read("nfsd/cmd.nfsconf");
    assert_eq!(
        said.lines().next(),
        Some("--get statd state-directory-path")
    );
}

#[test]
fn keys_and_selinux_are_looked_at() {
    let dir = Scratch::new();
    let enforce = dir.write("enforce", "1");
    assert!(selinux(&enforce).unwrap().what.contains("operations.rst"));
    assert_eq!(selinux(&dir.write("enforce", "0")), None);
    assert_eq!(selinux(&dir.path("none")), None);
    let key = dir.path("key").display().to_string();
    let node = Node::new(ELSEWHERE, &format!("key_file = \"{key}\""));
    let config = node
        .dir
        .read("config")
        .replace(":rw\"", ":rw,no_root_squash\"");
    node.dir.write("config", &config);
    assert!(node
        .run(&["config", "check"])
        .err
        .contains("they can forge"));
    dir.write("key", "0123456789abcdef");
    let ran = node.run(&["config", "check"]);
    assert!(ran.err.contains("so it is no secret"), "{ran:?}");
    fs::set_permissions(dir.path("key"), Permissions::from_mode(0o600)).unwrap();
    let ran = node.run(&["config", "check"]);
    assert!(!ran.err.contains("key"), "{ran:?}");
}

#[test]
fn idle_nfs4_clients_need_time() {
    let node = Node::new(ELSEWHERE, "");
    node.is_not_mounted();
    let warns = |lease: &str, versions: &str| {
        node.dir.write("nfsd/nfsv4leasetime", lease);
        node.dir.write("nfsd/versions", versions);
        let ran = node.run(&["config", "check"]);
        assert_eq!(ran.exit, 0, "{ran:?}");
        ran.err.contains("an NFSv4 client that is idle notices")
    };
    // What the kernel takes if the service says nothing is 50 s.
    assert!(warns("90\n", "+3 +4 +4.1\n") && warns("26\n", "-3 -4 +4.2\n"));
    assert!(!warns("25\n", "+3 +4 +4.1\n"));
    assert!(!warns("90\n", "+3 -4 -4.1\n"));
    let config = node.dir.read("config");
    node.dir.write("config", &format!("{config}grace = 180\n"));
    assert!(!warns("90\n", "+3 +4 +4.1\n"));
}
