// SPDX-License-Identifier: GPL-2.0-only

//! `setup`: on a machine that is not there.

mod restarts;

use crate::common::{
    Node,
    Ran,
    CTL,
    ELSEWHERE, //
};
use nfs_failoverctl::setup::settings::{
    difference,
    fate,
    marked,
    settings,
    Fate, //
};
use nfs_failoverctl::setup::units;
use nfs_failoverctl::setup::wanted::{
    bad_scope,
    Wanted,
    NFS_CONF, //
};
use std::fs;
use std::os::unix::fs::symlink;

/// As nfsconf does: the last one counts. And systemctl, which has the new scope come into force.
const PROGRAMS: &str = r#"
case ${0##*/} in
modprobe) : >$ROOT/../nfsd/floating_ips ;;
nfsconf)
    cat $ROOT/etc/nfs.conf $(ls $ROOT/etc/nfs.conf.d/*.conf 2>/dev/null) 2>/dev/null |
        awk -v want="[$2]" -v key="$3" '/^\[/ { in_it = $0 == want }
            in_it && index($0, key "=") == 1 { value = substr($0, length(key) + 2); found = 1 }
            END { if (found) print value; exit !found }' ;;
nfsdctl) echo "scope: $(cat $ROOT/scope)" ;;
systemctl)
    [ "$1 $2" != "restart $(cat $ROOT/fails 2>/dev/null)" ] || exit 1
    [ "$1 $2" != "restart rpc-statd" ] || printf 'rpc.statd\0-H\0CALLOUT\0' >$ROOT/proc/77/cmdline
    [ "$1 $2" != "restart nfs-server" ] || nfsconf --get nfsd scope >$ROOT/scope ;;
esac
"#;

/// A node on which nothing was set up: its services are at another port than wanted.
fn node() -> Node {
    let node = Node::new(ELSEWHERE, "");
    let root = node.dir.path("root");
    let programs = PROGRAMS
        .replace("$ROOT", &root.display().to_string())
        .replace("CALLOUT", CTL);
    node.fake(&["nfsconf", "nfsdctl", "systemctl", "modprobe"], &programs);
    let write = |name: &str, text: &str| node.dir.write(&format!("root/{name}"), text);
    write("scope", "a\n");
    write("proc/sys/kernel/hostname", "a\n");
    write("proc/stat", "btime 4000000000\n");
    write(
        "proc/77/stat",
        "77 (rpc.statd) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 0 20\n",
    );
    write("proc/77/cmdline", "rpc.statd\0");
    write("usr/lib/nfs-failover/statd-callout", "");
    // Nobody is served.
    write("proc/net/rpc/nfsd.export/content", "#path domain(flags)\n");
    node
}

/// All services of a test are at one port.
fn setup(node: &Node, more: &[&str]) -> Ran {
    let port = node.services.port.to_string();
    let mut words = vec!["setup", "--scope", "cluster1"];
    for option in ["--lockd-port", "--statd-port", "--mountd-port"] {
        words.extend([option, &port]);
    }
    words.extend(more);
    node.run(&words)
}

fn conf(node: &Node) -> String {
    node.dir.read(&format!("root/{NFS_CONF}"))
}

fn restarts(node: &Node) -> Vec<String> {
    let said = node.dir.read("nfsd/cmd.systemctl");
    let restarts = said
        .lines()
        .filter_map(|line| line.strip_prefix("restart "));
    restarts.map(String::from).collect()
}

#[test]
fn a_node_is_set_up_once() {
    let node = node();
    let dry = setup(&node, &["--dry-run"]);
    assert_eq!(dry.exit, 0, "{dry:?}");
    assert!(
        dry.out
            .contains("    + ha-callout=/usr/lib/nfs-failover/statd-callout\n"),
        "{dry:?}"
    );
    assert!(
        dry.out
            .contains("restart rpc-statd ... would be done (it has not read its ha-callout)"),
        "{dry:?}"
    );
    assert!(
        dry.out
            .contains("NFSv3 clients are not told and lose their locks"),
        "{dry:?}"
    );
    assert!(
        dry.out.ends_with("; nothing was done (--dry-run)\n"),
        "{dry:?}"
    );
    assert!(conf(&node).is_empty() && restarts(&node).is_empty());

    let ran = setup(&node, &[]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    let text = conf(&node);
    for (section, line) in [
        ("nfsd", "scope=cluster1"),
        ("statd", "ha-callout=/usr/lib/nfs-failover/statd-callout"),
        ("sm-notify", "lift-grace=n"),
    ] {
        let found = settings(&text).into_iter().any(|setting| {
            setting.section == section && line == format!("{}={}", setting.key, setting.value)
        });
        assert!(found, "{section} {line}: {text}");
    }
    let port = node.services.port;
    assert!(node
        .dir
        .read("root/etc/modprobe.d/nfs-failover.conf")
        .ends_with(&format!(
            "\noptions lockd nlm_tcpport={port} nlm_udpport={port}\n"
        )));
    assert!(node
        .dir
        .read("root/etc/modules-load.d/nfs-failover.conf")
        .ends_with("\nnfs_failover\n"));
    assert_eq!(restarts(&node), ["rpc-statd", "nfs-server"]);
    assert_eq!(node.dir.read("nfsd/cmd.modprobe"), "nfs_failover\n");
    assert!(node
        .dir
        .read("nfsd/cmd.systemctl")
        .contains("enable nfs-failover.service\n"));
    assert!(
        ran.out.contains("the scope of nfsd is \"cluster1\""),
        "{ran:?}"
    );
    assert!(
        ran.out
            .contains("NFSv3 clients are not told and lose their locks)"),
        "{ran:?}"
    );
    // No temporary file is left.
    for dir in ["nfs.conf.d", "modprobe.d", "modules-load.d"] {
        let count = fs::read_dir(node.dir.path(&format!("root/etc/{dir}")))
            .unwrap()
            .count();
        assert_eq!(count, 1, "{dir}");
    }

    let wants = "root/etc/systemd/system/multi-user.target.wants";
    fs::create_dir_all(node.dir.path(wants)).unwrap();
    symlink(
        "/x",
        node.dir.path(&format!("{wants}/nfs-failover.service")),
    )
    .unwrap();
    node.dir.write("root/sys/module/nfs_failover/x", "");
    fs::remove_file(node.dir.path("nfsd/cmd.systemctl")).unwrap();
    let ran = node.run(&["setup"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert_eq!(ran.out.matches(" ... already").count(), 5, "{ran:?}");
    assert_eq!((conf(&node), restarts(&node)), (text, vec![]));
}

#[test]
fn what_somebody_has_changed_is_kept() {
    let node = node();
    assert_eq!(setup(&node, &[]).exit, 0);
    let ours = conf(&node);
    // Another scope is no loss: it was ours.
    let ran = setup(&node, &["--scope", "cluster2"]);
    assert_eq!(ran.exit, 2, "twice the same option: {ran:?}");
    let ran = node.run(&["setup", "--scope", "cluster2"]);
    assert!(
        ran.exit == 0
            && ran.out.contains("    - scope=cluster1\n")
            && ran.out.contains("    + scope=cluster2\n"),
        "{ran:?}"
    );
    // Somebody adds a line.
    let theirs = format!("{ours}manage-gids=y\n");
    node.dir.write(&format!("root/{NFS_CONF}"), &theirs);
    let before = restarts(&node);
    let ran = node.run(&["setup", "--scope", "cluster3"]);
    assert_eq!(ran.exit, 1, "{ran:?}");
    for expected in ["[sm-notify] manage-gids=y", "; nothing has changed\n"] {
        assert!(ran.out.contains(expected), "{expected}: {ran:?}");
    }
    assert_eq!((conf(&node), restarts(&node)), (theirs, before));
    let ran = node.run(&["setup", "--scope", "cluster3", "--replace"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert!(ran.out.contains("    - manage-gids=y\n") && !conf(&node).contains("manage-gids"));
}

#[test]
fn what_contradicts_elsewhere_is_named() {
    let node = node();
    // This one is read later.
    node.dir.write(
        "root/etc/nfs.conf.d/zz.conf",
        "# x\n[nfsd]\nscope=other # y\n[sm-notify]\nlift-grace = \"n\"\n",
    );
    node.dir.write(
        "root/etc/modprobe.d/x.conf",
        "options lockd nlm_udpport=1 nlm_grace_period=5\n",
    );
    let ran = setup(&node, &[]);
    assert_eq!(ran.exit, 1, "{ran:?}");
    for expected in [
        "line 3 of ",
        "zz.conf is scope=other in [nfsd]",
        "x.conf is nlm_udpport=1",
    ] {
        assert!(ran.out.contains(expected), "{expected}: {ran:?}");
    }
    assert!(conf(&node).is_empty());
    fs::remove_file(node.dir.path("root/etc/nfs.conf.d/zz.conf")).unwrap();
    fs::remove_file(node.dir.path("root/etc/modprobe.d/x.conf")).unwrap();
    // Nor does it count what systemd gives to the program.
    let systemctl = node.dir.read("bin/systemctl");
    let shows = "case \"$*\" in *ExecStart*nfs-server) echo '{ path=/x ; argv[]=/x -S other ; }';; *DropIn*) echo /etc/y.conf;; esac";
    node.dir
        .write("bin/systemctl", &format!("{systemctl}\n{shows}\n"));
    node.dir.write(
        "root/etc/y.conf",
        "[Service]\nExecStart=\nExecStart=/x -S other\n",
    );
    let ran = setup(&node, &[]);
    assert!(
        ran.exit == 1
            && ran
                .out
                .contains("/etc/y.conf starts nfs-server with -S other"),
        "{ran:?}"
    );
    node.dir.write("bin/systemctl", &systemctl);
    // These are read before; a port that the administrator has chosen is taken.
    node.dir.write(
        "root/etc/nfs.conf",
        "[mountd]\nport = 20048\n[nfsd]\nscope=old\n",
    );
    let ran = node.run(&["setup", "--scope", "cluster1"]);
    assert!(
        ran.out
            .contains("scope=old in [nfsd], does not count any more"),
        "{ran:?}"
    );
    assert!(
        conf(&node).contains("[mountd]\nport=20048\n"),
        "{}",
        conf(&node)
    );
}

#[test]
fn what_is_missing_is_said_before_anything_is_done() {
    let node = node();
    fs::remove_file(node.dir.path("root/usr/lib/nfs-failover/statd-callout")).unwrap();
    let ran = setup(&node, &[]);
    assert!(
        ran.exit == 1 && ran.out.contains("make tools_install") && conf(&node).is_empty(),
        "{ran:?}"
    );
    // What a link leads to is not ours.
    let node = self::node();
    let theirs = node.dir.write("root/theirs", "[nfsd]\n");
    fs::create_dir_all(node.dir.path("root/etc/nfs.conf.d")).unwrap();
    symlink(&theirs, node.dir.path(&format!("root/{NFS_CONF}"))).unwrap();
    let ran = setup(&node, &["--replace"]);
    assert!(
        ran.exit == 1 && ran.out.contains("is a symbolic link") && conf(&node) == "[nfsd]\n",
        "{ran:?}"
    );
    let node = self::node();
    let ran = node.run(&["setup"]);
    assert!(
        ran.exit == 1 && ran.out.contains("give --scope NAME"),
        "{ran:?}"
    );
    let ran = node.run(&["setup", "--scope", "a"]);
    assert!(
        ran.exit == 1 && ran.out.contains("is the name of this node"),
        "{ran:?}"
    );
    assert!(bad_scope("my cluster", None).is_some() && bad_scope("", None).is_some());
    assert_eq!(bad_scope("my-cluster_1.example", Some("a")), None);
}

#[test]
fn files_of_others_are_told_from_ours() {
    let wanted = Wanted {
        scope: "cluster1".into(),
        lockd: 4001,
        statd: 4002,
        mountd: 4003,
    };
    let [(_, new), ..] = wanted.files();
    assert_eq!(fate(None, &new), Fate::Write);
    assert_eq!(fate(Some(&new), &new), Fate::Right);
    // As a package may have it: nothing that is set is lost.
    let packaged = "# remarks\n[statd]\nha-callout = /usr/lib/nfs-failover/statd-callout\n; more\n";
    assert_eq!(fate(Some(packaged), &new), Fate::Write);
    assert_eq!(fate(Some(&marked("[nfsd]\nscope=x\n")), &new), Fate::Write);
    let changed = marked("[nfsd]\nscope=x\n") + "threads=5\n";
    assert_eq!(
        fate(Some(&changed), &new),
        Fate::Changed(vec![
            "line 3: [nfsd] scope=x".into(),
            "line 4: [nfsd] threads=5".into()
        ])
    );
    assert_eq!(
        fate(Some("options lockd x=1\n"), &marked("nfs_failover\n")),
        Fate::Changed(vec!["line 1: options lockd x=1".into()])
    );
    let read = settings("[nfsd]\na=\"x y\" # z\nb = 'c;d'e\nf=g # h\ni=j;k\nl=\"m\no=\n");
    let read: Vec<_> = read
        .iter()
        .map(|setting| (setting.key.as_str(), setting.value.as_str()))
        .collect();
    assert_eq!(
        read,
        [
            ("a", "x y"),
            ("b", "c;d"),
            ("f", "g"),
            ("i", "j"),
            ("l=\"m", ""),
            ("o", "")
        ]
    );
    assert_eq!(difference(Some("a\nb\n"), "b\nc\n"), ["- a", "+ c"]);
}

#[test]
fn options_are_found_as_systemd_shows_them() {
    let shown = |line: &str| {
        format!("{{ path=/sbin/x ; argv[]={line} ; ignore_errors=no ; start_time=[n/a] }}")
    };
    let scope = ["-S", "--scope"];
    for line in [
        "/sbin/rpc.nfsd -S abc",
        "/sbin/rpc.nfsd -Sabc 8",
        "/sbin/rpc.nfsd --scope=abc",
        "/bin/sh -c \"/sbin/rpc.nfsd --scope abc\"",
    ] {
        assert_eq!(
            units::option(&shown(line), &scope),
            Some("abc".into()),
            "{line}"
        );
    }
    let two = shown("/sbin/exportfs -r") + &shown("/sbin/rpc.nfsd -S abc");
    assert_eq!(units::option(&two, &scope), Some("abc".into()));
    for line in [
        "/sbin/rpc.nfsd",
        "/sbin/rpc.nfsd --syslog",
        "/sbin/rpc.nfsd -s",
    ] {
        assert_eq!(units::option(&shown(line), &scope), None, "{line}");
    }
    assert_eq!(units::option("", &scope), None);
}
