// SPDX-License-Identifier: GPL-2.0-only

//! What a client can put where the state of a service is, and what must not become of it.

use crate::common::{
    as_root,
    me,
    service,
    Node,
    Scratch,
    ELSEWHERE,
    HERE,
    MANIFEST, //
};
use nfs_failoverctl::apart;
use nfs_failoverctl::config::Service;
use nfs_failoverctl::key::Key;
use nfs_failoverctl::manifest::{
    Found,
    Stored, //
};
use nfs_failoverctl::statedir::StateDir;
use nix::sys::stat::{
    mknod,
    Mode,
    SFlag, //
};
use nix::unistd::mkfifo;
use std::fs::{
    self,
    File,
    Permissions, //
};
use std::os::unix::fs::{
    chown,
    symlink,
    MetadataExt,
    PermissionsExt, //
};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;
use std::time::{
    Duration,
    Instant, //
};

const NOT_OURS: u32 = 12_345;

/// One way to put something where a file is expected. Returns false if we may not.
type Plant = (&'static str, fn(&Path, &Path) -> bool);

/// `victim` is a file outside.
const PLANTS: &[Plant] = &[
    ("a pipe", |at, _| mkfifo(at, Mode::S_IRWXU).is_ok()),
    ("a symbolic link", |at, victim| symlink(victim, at).is_ok()),
    ("a directory", |at, _| {
        fs::create_dir(at).is_ok() && fs::write(at.join("full"), "").is_ok()
    }),
    ("a socket", |at, _| UnixListener::bind(at).is_ok()),
    // The number of /dev/zero, which never ends.
    ("a device", |at, _| {
        mknod(at, SFlag::S_IFCHR, Mode::S_IRWXU, nix::libc::makedev(1, 5)).is_ok()
    }),
];

/// Files of which nothing good can come.
const FILES: &[Plant] = &[
    ("bytes, more than", |at, _| {
        File::create(at)
            .and_then(|file| file.set_len(1 << 40))
            .is_ok()
    }),
    ("belongs to user", |at, _| {
        fs::write(at, "1999999999\n").is_ok() && chown(at, Some(NOT_OURS), None).is_ok()
    }),
];

fn plants() -> impl Iterator<Item = &'static Plant> {
    PLANTS.iter().chain(FILES)
}

/// Whatever is there is no reason to wait.
fn at_once<T>(what: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = what();
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    result
}

fn serve(dir: &Scratch) -> (Service, StateDir) {
    dir.write("victim", "untouched");
    fs::set_permissions(dir.path("victim"), Permissions::from_mode(0o640)).unwrap();
    let service = service(dir);
    let state = StateDir::of(&service);
    state.create(me()).unwrap();
    (service, state)
}

fn untouched(dir: &Scratch) {
    let metadata = fs::symlink_metadata(dir.path("victim")).unwrap();
    assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (me().0, 0o640));
    assert_eq!(dir.read("victim"), "untouched");
}

#[test]
fn directories_are_replaced() {
    for name in ["nsm", "nsm/10.77.0.101", "nsm/10.77.0.101/clients"] {
        for (what, plant) in PLANTS {
            let dir = Scratch::new();
            let (_, state) = serve(&dir);
            let at = dir.path("srv").join(name);
            if *what == "a directory" {
                continue;
            }
            fs::rename(&at, dir.path("away")).unwrap();
            if !plant(&at, &dir.path("victim")) {
                continue;
            }
            assert!(at_once(|| state.record("10.77.0.13")).is_err());
            assert!(at_once(|| state.clients()).is_err());
            assert!(at_once(
                || state.next_state().is_err() || name.ends_with("clients")
            ));
            assert!(!at_once(|| state.problems(me())).is_empty());
            let replaced = at_once(|| state.create(me())).unwrap();
            assert_eq!(replaced, [format!("{} was {what}", at.display())]);
            assert_eq!(state.problems(me()), [""; 0]);
            assert!(state.record("10.77.0.13").unwrap());
            untouched(&dir);
        }
    }
}

/// A link to a directory of the server: nothing is written there, and nobody gets it.
#[test]
fn links_lead_nowhere() {
    for name in ["nsm", "nsm/10.77.0.101", "nsm/10.77.0.101/clients"] {
        for target in ["out", "srv/inside"] {
            let dir = Scratch::new();
            let (service, state) = serve(&dir);
            fs::create_dir_all(dir.path(target).join("10.77.0.101/clients")).unwrap();
            fs::create_dir_all(dir.path(target).join("clients")).unwrap();
            dir.write(&format!("{target}/state"), "1\n");
            dir.write(&format!("{target}/manifest"), MANIFEST);
            let at = dir.path("srv").join(name);
            fs::remove_dir_all(&at).unwrap();
            symlink(dir.path(target), &at).unwrap();
            let look = |name: &str| {
                let metadata = fs::metadata(dir.path(target).join(name)).unwrap();
                (
                    metadata.ctime(),
                    metadata.ctime_nsec(),
                    metadata.mtime_nsec(),
                )
            };
            let before = ["", "clients", "10.77.0.101/clients", "state"].map(look);
            assert!(state.record("10.77.0.13").is_err());
            assert!(state.forget("10.77.0.13").is_err());
            assert!(state.lock().is_err() || name.ends_with("clients"));
            let manifest = Stored::new(&service, &dir.path("srv/nsm/manifest")).unwrap();
            if name == "nsm" {
                assert!(matches!(manifest.read(None), Found::Other(_)));
                assert!(manifest.remove().is_err());
            }
            state.create(me()).unwrap();
            state.record("10.77.0.13").unwrap();
            state.next_state().unwrap();
            put(&dir, None);
            assert_eq!(
                ["", "clients", "10.77.0.101/clients", "state"].map(look),
                before
            );
        }
    }
}

#[test]
fn state_numbers_are_not_believed() {
    for (what, plant) in plants() {
        let dir = Scratch::new();
        let (_, state) = serve(&dir);
        if !plant(&dir.path("srv/nsm/10.77.0.101/state"), &dir.path("victim")) {
            continue;
        }
        let next = at_once(|| state.next_state()).unwrap();
        // The time of the day, not what the file says.
        assert!(next.warning.unwrap().contains(what), "{what}");
        assert!(
            (1_700_000_001..1_999_999_999).contains(&next.number),
            "{what}"
        );
        let again = state.next_state().unwrap();
        assert_eq!(
            (again.number, again.warning),
            (next.number + 2, None),
            "{what}"
        );
        untouched(&dir);
    }
}

#[test]
fn records_are_files() {
    for (what, plant) in PLANTS {
        let dir = Scratch::new();
        let (_, state) = serve(&dir);
        let at = dir.path("srv/nsm/10.77.0.101/clients/10.77.0.13");
        if !plant(&at, &dir.path("victim")) {
            continue;
        }
        let clients = at_once(|| state.clients()).unwrap();
        assert_eq!(clients.names, [""; 0]);
        assert!(clients.garbage[0].ends_with(what));
        assert!(at_once(|| state.record("10.77.0.13")).unwrap());
        assert_eq!(state.clients().unwrap().names, ["10.77.0.13"]);
        assert!(fs::symlink_metadata(&at).unwrap().is_file());
        untouched(&dir);
    }
}

/// A record that is another name of a file is a record, and that file is left alone.
#[test]
fn records_have_other_names() {
    let dir = Scratch::new();
    let (_, state) = serve(&dir);
    fs::hard_link(
        dir.path("victim"),
        dir.path("srv/nsm/10.77.0.101/clients/10.77.0.13"),
    )
    .unwrap();
    assert!(!state.record("10.77.0.13").unwrap());
    assert!(state.forget("10.77.0.13").unwrap());
    untouched(&dir);
}

#[test]
fn any_number_of_names() {
    let dir = Scratch::new();
    let (_, state) = serve(&dir);
    let clients = dir.path("srv/nsm/10.77.0.101/clients");
    for number in 0..100 {
        File::create(clients.join(format!("c{number}"))).unwrap();
    }
    for number in 0..100 {
        File::create(clients.join(format!("no record {number}"))).unwrap();
    }
    let found = state.clients_up_to(90).unwrap();
    assert_eq!(found.names.len(), 90);
    assert!(found.garbage.len() < 30, "{}", found.garbage.len());
    assert!(found.garbage.last().unwrap().contains("all but 90 clients"));
    assert_eq!(state.clients().unwrap().names.len(), 100);
}

#[test]
fn owners_and_modes_are_put_right() {
    let dir = Scratch::new();
    let (_, state) = serve(&dir);
    let path = dir.path("srv/nsm/10.77.0.101/clients");
    fs::set_permissions(&path, Permissions::from_mode(0o2777)).unwrap();
    fs::set_permissions(dir.path("srv/nsm"), Permissions::from_mode(0o777)).unwrap();
    if chown(&path, Some(NOT_OURS), Some(NOT_OURS)).is_ok() {
        assert!(state
            .problems(me())
            .iter()
            .any(|problem| problem.contains("user 12345")));
    }
    assert_eq!(state.problems(me()).len(), 2);
    assert_eq!(state.create(me()).unwrap(), [""; 0]);
    assert_eq!(state.problems(me()), [""; 0]);
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (me().0, 0o700));
}

fn stored(dir: &Scratch) -> (Service, Stored) {
    let (service, _) = serve(dir);
    let stored = Stored::new(&service, &dir.path("srv/nsm/manifest")).unwrap();
    (service, stored)
}

/// What `release` writes.
fn put(dir: &Scratch, key: Option<&Key>) {
    let text = Stored::signed(MANIFEST.into(), key).unwrap();
    apart::write_here(&dir.path("srv"), &dir.path("srv/nsm/manifest"), &text).unwrap();
}

fn other(found: Found) -> String {
    match found {
        Found::Other(why) => why,
        found => panic!("{found:?}"),
    }
}

#[test]
fn manifests_that_are_none() {
    for (what, plant) in plants() {
        let dir = Scratch::new();
        let (_, stored) = stored(&dir);
        assert_eq!(stored.read(None), Found::Nothing);
        if !plant(&dir.path("srv/nsm/manifest"), &dir.path("victim")) {
            continue;
        }
        let why = other(at_once(|| stored.read(None)));
        assert!(
            why.contains(what.trim_start_matches("a symbolic ")),
            "{why}"
        );
        put(&dir, None);
        assert_eq!(
            stored.read(None),
            Found::Manifest(MANIFEST.into()),
            "{what}"
        );
        assert!(stored.remove().unwrap() && !stored.remove().unwrap());
        untouched(&dir);
    }
}

#[test]
fn manifests_of_others() {
    let dir = Scratch::new();
    let (mut service, stored) = stored(&dir);
    let path = dir.path("srv/nsm/manifest");
    put(&dir, None);
    fs::hard_link(&path, dir.path("srv/other")).unwrap();
    assert!(other(stored.read(None)).contains("another name"));
    fs::remove_file(dir.path("srv/other")).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o620)).unwrap();
    assert!(other(stored.read(None)).contains("written by others"));
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(dir.path("srv/nsm"), Permissions::from_mode(0o777)).unwrap();
    assert!(other(stored.read(None)).contains("its directory can be written"));
    fs::set_permissions(dir.path("srv/nsm"), Permissions::from_mode(0o711)).unwrap();
    assert_eq!(stored.read(None), Found::Manifest(MANIFEST.into()));
    service.fsid = nfs_failoverctl::config::parse_fsid("5678").ok();
    let stored = Stored::new(&service, &path).unwrap();
    assert_eq!(other(stored.read(None)), "it is of another filesystem");
}

/// Of a client that is root on the filesystem, the signature is all that tells.
#[test]
fn manifests_are_signed() {
    let dir = Scratch::new();
    let (_, stored) = stored(&dir);
    let key = |name: &str, text: &str, mode: u32| {
        let path = dir.write(name, text);
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        Key::load(&path).map(|key| key.unwrap())
    };
    assert!(Key::load(&dir.path("none")).unwrap().is_none());
    for (text, mode) in [
        ("long enough to be a key", 0o640),
        ("short\n", 0o600),
        ("", 0o600),
    ] {
        assert!(key("bad", text, mode).is_err(), "{text}");
    }
    assert!(key("bad", &"x".repeat(4097), 0o600).is_err());
    let ours = key("ours", "long enough to be a key\n", 0o600).unwrap();
    let same = key("same", "long enough to be a key", 0o600).unwrap();
    let theirs = key("theirs", "long enough to be a kez", 0o600).unwrap();
    put(&dir, Some(&ours));
    assert_eq!(stored.read(Some(&same)), Found::Manifest(MANIFEST.into()));
    assert!(other(stored.read(Some(&theirs))).contains("signature is wrong"));
    assert!(other(stored.read(None)).contains("has no key"));
    // One lock less, one digit of the signature, no signature.
    let text = dir.read("srv/nsm/manifest");
    let path = dir.path("srv/nsm/manifest");
    let end = text.len() - 2;
    let digit = if &text[end..=end] == "0" { "1" } else { "0" };
    for bad in [
        text.replace("start=10 end=19", "start=10 end=18"),
        format!("{}{digit}\n", &text[..end]),
        format!("{}\n", &text[..end]),
        format!("{}{}", text, text.lines().last().unwrap()),
        format!("{text}lock\n"),
    ] {
        fs::write(&path, bad).unwrap();
        assert!(other(stored.read(Some(&ours))).contains("sign"));
    }
    fs::write(&path, MANIFEST).unwrap();
    assert!(other(stored.read(Some(&ours))).contains("not signed"));
}

/// Of the list of connections, nothing is read that is no file of ours, and a new one takes its place.
#[test]
fn lists_of_connections_that_are_none() {
    for (what, plant) in plants() {
        let node = Node::new(HERE, "");
        let victim = node.dir.write("victim", "untouched");
        fs::set_permissions(&victim, Permissions::from_mode(0o640)).unwrap();
        let dir = node.dir.path("srv/.nsm").join(HERE);
        fs::create_dir_all(dir.join("clients")).unwrap();
        if !plant(&dir.join("connections"), &victim) {
            continue;
        }
        let take = ["--json", "takeover", "s1", "--no-notify", "--force"];
        let ran = at_once(|| node.run(&take));
        let what = what.trim_start_matches("a symbolic ");
        assert!(
            ran.err.contains("connections") && ran.err.contains(what),
            "{what}: {ran:?}"
        );
        // The watch that was started puts it aside as it is.
        let is_list = || {
            fs::symlink_metadata(dir.join("connections"))
                .is_ok_and(|list| list.is_file() && list.uid() == me().0 && list.nlink() == 1)
        };
        let start = Instant::now();
        while !is_list() {
            assert!(start.elapsed() < Duration::from_secs(60), "{what}");
            thread::sleep(Duration::from_millis(100));
        }
        untouched(&node.dir);
    }
}

/// What takeover and notify do where all of it is false.
#[test]
fn commands_go_on_without() {
    for (what, plant) in plants() {
        let node = Node::new(ELSEWHERE, "");
        let victim = node.dir.write("victim", "untouched");
        fs::set_permissions(&victim, Permissions::from_mode(0o640)).unwrap();
        fs::create_dir_all(node.dir.path("srv/.nsm")).unwrap();
        if !plant(&node.dir.path("srv/.nsm/manifest"), &victim) {
            continue;
        }
        let ran = at_once(|| node.run(&["--json", "takeover", "s1", "--no-notify"]));
        assert_eq!(
            (
                ran.exit,
                ran.result("manifest").as_str(),
                ran.result("grace").as_str()
            ),
            (3, "incomplete", "done"),
            "{what} {ran:?}"
        );
        assert!(
            fs::symlink_metadata(node.dir.path("srv/.nsm/manifest")).is_err(),
            "{what}"
        );
        untouched(&node.dir);
    }
}

/// A filesystem that is mounted in the way is none of ours, and the mount is to be this one.
#[test]
fn nothing_leads_to_another_filesystem() {
    let script = r#"
        mkdir -p "$SRV/.nsm/$IP/clients"
        mount -t tmpfs none "$SRV/.nsm/$IP/clients"
        "$CTL" $OPTIONS callout add-client 10.77.0.13 $IP && exit 10
        [ -z "$(ls -A "$SRV/.nsm/$IP/clients")" ] || exit 11
        "$CTL" $OPTIONS takeover s1 --no-notify && exit 12
        # Something is mounted there, but not what the list of mounts has.
        mount -t tmpfs none "$SRV"
        mkdir -p "$SRV/.nsm/$IP/clients"
        "$CTL" $OPTIONS callout add-client 10.77.0.14 $IP && exit 13
        [ -z "$(ls -A "$SRV/.nsm/$IP/clients")" ]"#;
    let node = Node::new(ELSEWHERE, "");
    if let Some(ran) = as_root(&[], &node.script(script), &node.dir.path("")) {
        assert_eq!(ran.exit, 0, "{ran:?}");
        assert!(ran.err.contains("another one is mounted there"), "{ran:?}");
        assert!(ran.err.contains("nothing is mounted at"), "{ran:?}");
    }
}

/// Room that somebody else has a hand in is none.
#[test]
fn room_is_kept() {
    for (what, plant) in plants() {
        let dir = Scratch::new();
        let (_, stored) = stored(&dir);
        let at = dir.path("srv/nsm/reserve");
        if !plant(&at, &dir.path("victim")) {
            continue;
        }
        at_once(|| put(&dir, None));
        assert_eq!(
            stored.read(None),
            Found::Manifest(MANIFEST.into()),
            "{what}"
        );
        at_once(|| stored.reserve(3 << 20)).unwrap();
        let metadata = fs::symlink_metadata(&at).unwrap();
        assert!(metadata.is_file() && metadata.len() == 6 << 20, "{what}");
        assert!(metadata.blocks() * 512 >= 6 << 20, "{what}");
        let room = metadata.ino();
        stored.reserve(0).unwrap();
        assert_eq!(fs::metadata(&at).unwrap().ino(), room);
        put(&dir, None);
        assert_eq!(
            fs::metadata(dir.path("srv/nsm/manifest")).unwrap().ino(),
            room,
            "{what}"
        );
        assert_eq!(
            stored.read(None),
            Found::Manifest(MANIFEST.into()),
            "{what}"
        );
        untouched(&dir);
    }
    let dir = Scratch::new();
    let (_, stored) = stored(&dir);
    stored.reserve(0).unwrap();
    fs::hard_link(dir.path("srv/nsm/reserve"), dir.path("srv/other")).unwrap();
    put(&dir, None);
    assert_eq!(dir.read("srv/other").len(), 4 << 20);
    assert!(!dir.read("srv/other").contains("manifest"));
}
