// SPDX-License-Identifier: GPL-2.0-only

//! What `release` and `takeover` look at before they change anything.

mod nfs4;
mod scope;
mod watcher;

use crate::common::{
    Node,
    Ran,
    ELSEWHERE,
    HERE, //
};
use nfs_failoverctl::exporttable::{
    parse_exports,
    parse_handles, //
};
use nfs_failoverctl::mounts;
use nfs_failoverctl::octal::{
    escape,
    unescape, //
};
use std::fs;
use std::os::unix::fs::{
    symlink,
    PermissionsExt, //
};
use std::path::Path;
use std::thread;
use std::time::{
    Duration,
    Instant,
    SystemTime, //
};

/// A node that has what a release with all options needs.
fn ready() -> Node {
    let node = Node::new(ELSEWHERE, "");
    node.has_manifest();
    node.was_taken_over(ELSEWHERE);
    node.fake(&["exportfs", "umount"], "");
    node
}

fn release(node: &Node, more: &[&str]) -> Ran {
    node.run(&[&["release", "s1", "--unexport", "--umount"], more].concat())
}

/// A release that is refused for a reason, before anything was done.
fn refused(node: &Node, reason: &str) {
    let files = ["nlm_unlock", "floating_ips", "cmd.exportfs", "cmd.umount"];
    let before = files.map(|name| node.dir.read(&format!("nfsd/{name}")));
    let ran = release(node, &[]);
    assert!(
        ran.exit == 1 && ran.out.contains(reason) && ran.out.contains("nothing has changed"),
        "{reason}: {ran:?}"
    );
    let after = files.map(|name| node.dir.read(&format!("nfsd/{name}")));
    assert_eq!(after, before, "{ran:?}");
}

fn srv(node: &Node) -> String {
    node.dir.path("srv").display().to_string()
}

#[test]
fn exports_that_do_not_fit() {
    let cases = [
        (
            "SRV\t*(rw,fsid=77)",
            "fsid 77, but the service has fsid 1234",
        ),
        ("SRV\t*(rw)", "without fsid=, but the service has fsid 1234"),
        (
            "SRV\t*(rw,fsid=1234)\nSRV/sub\t*(rw,fsid=5678)",
            "SRV/sub is exported to * with fsid 5678",
        ),
        (
            "SRV\t*(rw,fsid=1234)\n/srv/other\t*(rw,fsid=1234)",
            "/srv/other, which is another filesystem than SRV",
        ),
        (
            "SRV\t10.0.0.9(rw,fsid=01234567-89ab-cdef-5e1c-b0987754021f)",
            "fsid 01234567-89ab-cdef-5e1c-b0987754021f, but",
        ),
    ];
    for (etab, reason) in cases {
        let node = ready();
        let fill = |text: &str| text.replace("SRV", &srv(&node));
        node.dir.write("statd/etab", &format!("{}\n", fill(etab)));
        refused(&node, &fill(reason));
        // The same where it comes to, even before it is mounted.
        node.dir.write("mountinfo", "");
        let ran = node.run(&["takeover", "s1", "--no-notify"]);
        assert!(
            ran.exit == 1 && ran.out.contains(&fill(reason)),
            "{reason}: {ran:?}"
        );
        assert_eq!(node.dir.read("nfsd/nlm_set_igrace"), "");
        let ran = node.run(&["config", "check"]);
        assert!(
            ran.exit == 1 && ran.err.contains(&fill(reason)),
            "{reason}: {ran:?}"
        );
    }
}

#[test]
fn the_kernel_knows_what_handles_have() {
    let node = ready();
    let content = |name: &str, text: &str| {
        let text = text.replace("SRV", &srv(&node));
        node.dir
            .write(&format!("root/proc/net/rpc/{name}/content"), &text);
    };
    content("nfsd.export", "#path domain(flags)\nSRV\t*(rw,uuid=01234567:89abcdef:5e1cb098:7754021f)\n# /gone\t*(rw,fsid=1234)\n");
    refused(&node, "fsid 01234567-89ab-cdef-5e1c-b0987754021f, but");
    content(
        "nfsd.export",
        "SRV\t*(rw,fsid=1234,uuid=01234567:89abcdef:5e1cb098:7754021f)\n",
    );
    content(
        "nfsd.fh",
        "#domain fsidtype fsid [path]\n* 1 0x000004d2 SRV\n* 1 0x00000001\n",
    );
    assert_eq!(release(&node, &[]).exit, 0);
    // A client that mounted it before it had a number.
    content("nfsd.fh", "* 6 0x67452301efcdab8998b01c5e1f025477 SRV\n");
    refused(
        &node,
        "with fsid=01234567-89ab-cdef-5e1c-b0987754021f instead of fsid=1234",
    );
}

#[test]
fn tables_are_read() {
    let exports =
        parse_exports(b"/srv/a\\040b\t10.0.0.0/8(rw,sec=sys,fsid=-1)\n/x\t*()\n\n# /y\t*(rw)\n");
    let found: Vec<_> = exports
        .iter()
        .map(|export| {
            (
                export.path.to_str().unwrap(),
                export.fsid.map(|fsid| fsid.to_string()),
            )
        })
        .collect();
    assert_eq!(
        found,
        [("/srv/a b", Some("4294967295".into())), ("/x", None)]
    );
    assert_eq!(
        parse_handles(b"* 1 0x00 /x\n* 9 0x00000000 /x\n* 1 0x00000007 /x\n").len(),
        2
    );
    let path = Path::new("/srv/a b\\c\"#\n");
    assert_eq!(unescape(escape(path).as_bytes()), path);
    assert_eq!(unescape(b"\\04\\999\\"), Path::new("\\04\\999\\"));
    let all = mounts::parse(
        b"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:2 / /a rw shared:5 master:6 - ext4 /dev/sdb rw\n3 1 8:3 / /a rw - xfs /dev/sdc rw\nrubbish\n",
    );
    let on = |path: &str| mounts::containing(&all, Path::new(path)).map(|mount| mount.id);
    assert_eq!((on("/a/b"), on("/ab"), all.len()), (Some(3), Some(1), 3));
    assert_eq!((all[1].shared, all[1].master), (Some(5), Some(6)));
}

#[test]
fn mounts_and_users() {
    let line = |id: u32, parent: u32, device: &str, at: &str, more: &str| {
        format!("{id} {parent} {device} / {at} rw {more}- ext4 /dev/sdz rw\n")
    };
    let node = ready();
    let srv = srv(&node);
    let own = line(1, 0, "8:9", "/", "shared:7 ") + &line(22, 1, "8:1", &srv, "");
    let write = |name: &str, text: &str| drop(node.dir.write(name, text));
    write(
        "mountinfo",
        &(own.clone() + &line(23, 22, "8:2", &format!("{srv}/below"), "")),
    );
    refused(&node, &format!("/dev/sdz is mounted on it at {srv}/below"));
    write(
        "mountinfo",
        &(own.clone() + &line(23, 1, "8:1", "/mnt", "")),
    );
    refused(&node, "it is mounted at /mnt, too");
    write("mountinfo", &own);

    // A process of a mount namespace of its own.
    let process = |pid: u32, namespace: u32, mounts: &str| {
        write(&format!("root/proc/{pid}/comm"), "victim\n");
        write(&format!("root/proc/{pid}/mountinfo"), mounts);
        fs::create_dir_all(node.dir.path(&format!("root/proc/{pid}/ns"))).unwrap();
        let link = node.dir.path(&format!("root/proc/{pid}/ns/mnt"));
        let _ = fs::remove_file(&link);
        symlink(format!("mnt:[{namespace}]"), link).unwrap();
    };
    fs::create_dir_all(node.dir.path("root/proc/self/ns")).unwrap();
    symlink("mnt:[1]", node.dir.path("root/proc/self/ns/mnt")).unwrap();
    process(50, 1, &own);
    let copy = |root: &str| line(31, 0, "8:9", "/", root) + &line(32, 31, "8:1", "/data", "");
    process(60, 2, &copy(""));
    refused(
        &node,
        "at /data in the mount namespace of process 60 (victim)",
    );
    process(60, 2, &copy("shared:8 "));
    refused(&node, "namespace of process 60 (victim)");
    // An umount here is one there, too, directly or by way of others.
    for root in ["shared:7 ", "shared:8 master:7 ", "master:7 "] {
        process(60, 2, &copy(root));
        assert_eq!(release(&node, &[]).exit, 0, "{root}");
    }
    process(
        70,
        3,
        &(line(41, 0, "8:9", "/", "master:8 ") + &line(42, 41, "8:1", "/d", "")),
    );
    process(60, 2, &copy("shared:8 master:7 "));
    assert_eq!(release(&node, &[]).exit, 0);
    process(60, 2, &copy("shared:8 "));
    refused(&node, "namespace of process 70 (victim)");
    process(60, 1, &own);
    process(70, 1, &own);

    // What they have open.
    let cwd = node.dir.path("root/proc/60/cwd");
    symlink(format!("{srv}/x"), &cwd).unwrap();
    refused(&node, &format!("process 60 (victim) works in {srv}/x"));
    fs::remove_file(&cwd).unwrap();
    symlink(format!("{srv}x"), &cwd).unwrap();
    write("root/proc/60/fdinfo/5", "pos:\t0\nmnt_id:\t1\n");
    write(
        "root/proc/60/maps",
        "7f0-7f1 r--p 00000000 08:02 12 /lib/x\n",
    );
    assert_eq!(release(&node, &[]).exit, 0);
    write("root/proc/60/fdinfo/5", "pos:\t0\nmnt_id:\t22\n");
    refused(&node, "process 60 (victim) has");
    let ran = release(&node, &["--force"]);
    assert!(
        ran.exit == 3 && ran.out.contains("umount: umount"),
        "{ran:?}"
    );
    write("root/proc/60/fdinfo/5", "");
    write(
        "root/proc/60/maps",
        "7f0-7f1 r--p 00000000 08:01 12 /srv/lib\n",
    );
    refused(&node, "process 60 (victim) has /srv/lib mapped");
    write("root/proc/60/maps", "");
    write(
        "root/proc/swaps",
        &format!("Filename\n{srv}/swap file 1 2 3\n"),
    );
    refused(&node, &format!("{srv}/swap is swapped to"));
    write("root/proc/swaps", "");
    write(
        "root/sys/block/loop0/loop/backing_file",
        &format!("{srv}/img\n"),
    );
    refused(&node, "what /dev/loop0 consists of");
}

/// The release of one address drops the locks of all: what would keep the last one from unmounting it
/// is looked for at the first.
#[test]
fn users_are_looked_for_at_the_first_address() {
    let node = ready();
    let config = node.dir.read("config");
    let beside = format!(
        "[[service]]\nname = \"s1-0\"\npath = \"{}\"\nfsid = \"1234\"\nip = \"203.0.113.78\"\n",
        srv(&node)
    );
    node.dir.write(
        "root/proc/swaps",
        &format!("Filename\n{}/swap file 1 2 3\n", srv(&node)),
    );
    assert_eq!(node.run(&["release", "s1", "--dry-run"]).exit, 0);
    node.dir.write("config", &(config + &beside));
    let before = node.dir.read("nfsd/nlm_unlock");
    let ran = node.run(&["release", "s1"]);
    assert!(
        ran.exit == 1 && ran.out.contains("is swapped to"),
        "{ran:?}"
    );
    assert_eq!(node.dir.read("nfsd/nlm_unlock"), before);
}

/// Who can open a file can lock it, and keep all moves waiting.
#[test]
fn nobody_else_can_take_our_turn() {
    let node = ready();
    let file = node.dir.write("root/run/nfs-failover/moves.lock", "");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(release(&node, &[]).exit, 0);
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let ran = node.run(&["takeover", "s1", "--no-notify", "--expect-none"]);
    // Somebody watches the records.
    assert!(!ran.out.contains("nobody watches"), "{ran:?}");
    let watch = node.dir.path("root/run/nfs-failover/records.lock");
    assert_eq!(
        fs::metadata(watch).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

/// They would get errors for what they have open.
#[test]
fn nothing_is_withdrawn_that_clients_can_reach() {
    let node = Node::new(HERE, "");
    node.was_taken_over(HERE);
    node.has_manifest();
    node.fake(&["exportfs", "umount"], "");
    for option in ["--unexport", "--umount"] {
        let ran = node.run(&["release", "s1", option]);
        assert!(
            ran.exit == 1 && ran.out.contains("127.0.0.1 is up"),
            "{ran:?}"
        );
        assert!(ran.out.ends_with("; nothing has changed\n"), "{ran:?}");
    }
    assert_eq!(node.run(&["release", "s1"]).exit, 0);
}

#[test]
fn exports_outlive_exportfs_r() {
    let node = Node::new(ELSEWHERE, "");
    node.fake(&["exportfs", "umount"], "");
    assert_eq!(
        node.run(&["takeover", "s1", "--export", "--no-notify"])
            .exit,
        0
    );
    let files = || -> Vec<_> {
        let entries = fs::read_dir(node.dir.path("root/etc/exports.d")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    let [link] = &files()[..] else {
        panic!("{:?}", files())
    };
    assert!(link.extension().unwrap() == "exports");
    let target = fs::read_link(link).unwrap();
    // What is there after a boot leads nowhere.
    assert!(target.starts_with(node.dir.path("root/run")));
    let text = fs::read_to_string(link).unwrap();
    assert!(
        text.ends_with(&format!(
            "\n{} 10.0.0.0/8(rw,fsid=1234,mountpoint)\n",
            srv(&node)
        )),
        "{text}"
    );
    node.has_manifest();
    assert_eq!(node.run(&["release", "s1", "--unexport"]).exit, 0);
    assert!(files().is_empty() && !target.exists());
}

/// exportfs that runs several times a second puts off when the kernel forgets exports.
#[test]
fn flushes_that_are_put_off_are_waited_for() {
    let node = ready();
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let put_off = |until: u64| {
        node.dir
            .write("root/proc/net/rpc/nfsd.export/flush", &format!("{until}\n"));
    };
    put_off(now + 3600);
    refused(&node, "exportfs runs so often");
    assert_eq!(release(&node, &["--dry-run"]).exit, 1);
    // That it would wait for.
    put_off(now + 30);
    assert_ne!(release(&node, &["--dry-run"]).exit, 1);
    put_off(now + 6);
    let begun = Instant::now();
    let ran = release(&node, &[]);
    assert!(ran.out.contains("umount: umount"), "{ran:?}");
    assert!(begun.elapsed() > Duration::from_secs(2), "{ran:?}");
}

/// It may be for a minute, in which somebody comes.
#[test]
fn users_are_looked_for_after_the_wait() {
    let node = ready();
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    node.dir.write(
        "root/proc/net/rpc/nfsd.export/flush",
        &format!("{}\n", now + 6),
    );
    let before = node.dir.read("nfsd/nlm_unlock");
    let ran = thread::scope(|scope| {
        scope.spawn(|| {
            // It looks first, too, which takes no time, and waits for four seconds.
            thread::sleep(Duration::from_secs(2));
            node.dir.write(
                "nfsd/clients/3/states",
                "- 0x1: { type: open, superblock: \"08:01:12\" }\n- 0x2: { type: open, superblock: \"08:02:12\" }\n",
            );
        });
        release(&node, &[])
    });
    assert!(
        ran.exit == 1 && ran.out.contains("on other filesystems"),
        "{ran:?}"
    );
    assert_eq!(node.dir.read("nfsd/nlm_unlock"), before);
}
