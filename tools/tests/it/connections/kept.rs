// SPDX-License-Identifier: GPL-2.0-only

//! The list is kept by the process that watches the records, and nobody waits for it.

use super::{
    connected,
    list,
    node,
    LIST, //
};
use crate::common::{
    as_root,
    Node,
    HERE, //
};
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::process::{
    Child,
    Command,
    Stdio, //
};
use std::thread::sleep;
use std::time::{
    Duration,
    Instant, //
};

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn watch(node: &Node) -> Running {
    let mut command = node.command();
    command.args(["records", "--watch"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    Running(child.unwrap())
}

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        sleep(Duration::from_millis(100));
    }
}

/// Whatever the file says of their addresses.
#[test]
fn each_service_has_a_list() {
    let node = node();
    let config = node.dir.read("config");
    let mut mounts = node.dir.read("mountinfo");
    let srv = node.dir.path("srv").display().to_string();
    let mut services = String::new();
    for (name, fsid) in [("s2", 2), ("s3", 3)] {
        services += &format!(
            "[[service]]\nname = \"{name}\"\npath = \"{srv}-{name}\"\nfsid = \"{fsid}\"\nip = \"{HERE}\"\n"
        );
        let state = format!("{srv}-{name}/.nsm/{HERE}/clients");
        fs::create_dir_all(state).unwrap();
    }
    // The last one is elsewhere.
    let second = mounts.replace(&format!("{srv} "), &format!("{srv}-s2 "));
    mounts += &second;
    node.dir.write("mountinfo", &mounts);
    node.dir.write("config", &(config + &services));
    let _watch = watch(&node);
    let is = |srv: &str| {
        node.dir.read(&format!("{srv}/.nsm/{HERE}/connections")) == list(&["10.77.0.13:871"])
    };
    until("no list", || is("srv") && is("srv-s2"));
    assert_eq!(
        node.dir.read(&format!("srv-s3/.nsm/{HERE}/connections")),
        ""
    );
}

/// What the node before has left is put aside when clients can come, and not before; then the list is
/// kept as it is.
#[test]
fn the_list_is_put_aside_and_then_kept() {
    let node = node();
    node.dir.write(LIST, "as the node before has left it");
    let before = format!("{LIST}.before");
    node.dir.write(&before, "of the one before that");
    let mounts = node.dir.read("mountinfo");
    node.dir.write("mountinfo", "");
    node.dir.write(
        "nfsd/floating_ips",
        &format!("ip={HERE} confirm=no clients=0 refused=0\n"),
    );
    let _watch = watch(&node);
    sleep(Duration::from_secs(5));
    assert_eq!(node.dir.read(LIST), "as the node before has left it");
    node.dir.write("mountinfo", &mounts);
    let is = |clients: &[&str]| node.dir.read(LIST) == list(clients);
    until("no list", || is(&["10.77.0.13:871"]));
    assert_eq!(node.dir.read(&before), "as the node before has left it");
    let written = || {
        let metadata = fs::metadata(node.dir.path(LIST)).unwrap();
        (metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
    };
    let first = written();
    sleep(Duration::from_secs(10));
    assert_eq!(written(), first, "it was written although nothing changed");
    let both = ["10.77.0.13:871", "10.77.0.14:900"];
    connected(&node, &both);
    until("a connection is missing", || is(&both));
    fs::remove_file(node.dir.path(LIST)).unwrap();
    until("it is not made again", || is(&both));
    assert_eq!(node.dir.read(&before), "as the node before has left it");
}

/// The last room is for the records, and a list is for who has room.
#[test]
fn a_full_disk_gets_no_list() {
    let node = node();
    let script = format!(
        r#"
        list="$SRV/.nsm/{HERE}/connections"
        mount -t tmpfs -o size=6m none "$SRV"
        now_mounted
        mkdir -p "$SRV/.nsm/{HERE}/clients"
        "$CTL" $OPTIONS records --watch >/dev/null 2>&1 &
        trap "kill $!" EXIT
        sleep 7
        [ ! -e "$list" ] || exit 10
        mount -o remount,size=64m "$SRV"
        for i in $(seq 300); do [ ! -s "$list" ] || exit 0; sleep 0.1; done
        exit 11"#
    );
    if let Some(ran) = as_root(&[], &node.script(&script), &node.dir.path("")) {
        assert_eq!(ran.exit, 0, "{ran:?}");
    }
}

/// As a disk that has gone: whoever opens the file waits.
const HANGS: &str = "
import ctypes, sys, time
libc = ctypes.CDLL(None, use_errno=True)
FAN_CLASS_CONTENT, FAN_MARK_ADD, FAN_OPEN_PERM = 4, 1, 0x10000
fd = libc.fanotify_init(FAN_CLASS_CONTENT, 0)
if libc.fanotify_mark(fd, FAN_MARK_ADD, ctypes.c_uint64(FAN_OPEN_PERM), -100, sys.argv[1].encode()):
    sys.exit(f'fanotify: {ctypes.get_errno()}')
print('hangs', flush=True)
time.sleep(600)";

/// Clients are told to reclaim, whatever becomes of their connections.
#[test]
fn nobody_waits_for_a_list() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: needs root");
        return;
    }
    let node = node();
    node.dir.write(LIST, &list(&["10.77.0.13:871"]));
    let mut command = Command::new("python3");
    command.args(["-c", HANGS]).arg(node.dir.path(LIST));
    let mut hangs = Running(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut said = [0; 6];
    let output = hangs.0.stdout.as_mut().unwrap();
    output.read_exact(&mut said).unwrap();
    let begun = Instant::now();
    let ran = node.run(&["notify", "--force", "--ip", HERE]);
    assert!(begun.elapsed() < Duration::from_secs(20), "{ran:?}");
    assert!(
        ran.out.contains("nobody was told")
            && ran
                .out
                .contains("not all connections to the node before are tickled: after 1s"),
        "{ran:?}"
    );
}
