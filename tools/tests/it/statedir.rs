// SPDX-License-Identifier: GPL-2.0-only

use crate::common::Scratch;
use nfs_failoverctl::durable;
use nfs_failoverctl::statedir::{
    after,
    bad_name,
    StateDir, //
};
use std::fs;
use std::os::unix::fs::symlink;

const NOW: i32 = 1_763_731_235;

fn me() -> (u32, u32) {
    (
        nix::unistd::geteuid().as_raw(),
        nix::unistd::getegid().as_raw(),
    )
}

fn state(dir: &Scratch) -> StateDir {
    let state = StateDir::new(&dir.path("nsm"), "10.77.0.101".parse().unwrap());
    state.create(me()).unwrap();
    state
}

#[test]
fn state_numbers() {
    let cases: &[(&[u8], i32, bool)] = &[
        (b"1\n", 3, false),
        (b"5\n", 7, false),
        (b"2147483645\n", 2147483647, false),
        (b"2147483647\n", 1, true),
        // All of these may have been sent, or be a piece of what was.
        (b"", NOW, true),
        (b"6\n", NOW, true),
        (b"17", NOW, true),
        (b"-5\n", NOW, true),
        (b"1999999999", 2000000001, true),
        (b"2000000000\n", 2000000003, true),
        (b"5\n7\n", NOW, true),
        (b"\0\xff 1999999999 rubbish", 2000000001, true),
        (b"99999999999\n", NOW, true),
        (b"2147483647", 2147483647, true),
    ];
    for (content, number, warning) in cases {
        let next = after(content, NOW);
        assert_eq!(
            (next.number, next.warning.is_some()),
            (*number, *warning),
            "{content:?}"
        );
    }
    assert_eq!(after(b"", NOW - 1).number % 2, 1);
}

#[test]
fn state_numbers_are_kept_and_grow() {
    let dir = Scratch::new();
    let state = state(&dir);
    let first = state.next_state().unwrap();
    assert_eq!((first.number % 2, first.warning), (1, None));
    let kept = dir.read("nsm/10.77.0.101/state");
    assert_eq!(kept, format!("{}\n", first.number));
    assert_eq!(state.next_state().unwrap().number, first.number + 2);
    dir.write("nsm/10.77.0.101/state", "half\n");
    let next = state.next_state().unwrap();
    assert!(next.number >= first.number && next.warning.unwrap().contains("half"));
}

#[test]
fn records() {
    let dir = Scratch::new();
    let state = state(&dir);
    assert!(state.record("10.77.0.13").unwrap());
    assert!(!state.record("10.77.0.13").unwrap());
    assert!(state.record(&"n".repeat(255)).unwrap());
    assert!(state.forget(&"n".repeat(255)).unwrap());
    for bad in [
        "",
        ".x",
        "..",
        "a/b",
        "a b",
        "a\nb",
        "a\u{e4}",
        &"n".repeat(256),
    ] {
        assert!(state.record(bad).is_err(), "{bad:?}");
        assert!(bad_name(bad.as_bytes()).is_some());
    }
    let clients = state.clients().unwrap();
    assert_eq!(clients.names, ["10.77.0.13"]);
    assert!(clients.garbage.is_empty());
    assert!(state.forget("10.77.0.13").unwrap());
    assert!(!state.forget("10.77.0.13").unwrap());
}

#[test]
fn garbage_is_skipped() {
    let dir = Scratch::new();
    let state = state(&dir);
    let clients = dir.path("nsm/10.77.0.101/clients");
    for name in ["10.77.0.13", ".10.77.0.14.new", "a b", "\u{1}"] {
        fs::write(clients.join(name), "").unwrap();
    }
    fs::create_dir(clients.join("directory")).unwrap();
    symlink("/etc/passwd", clients.join("link")).unwrap();
    let found = state.clients().unwrap();
    assert_eq!(found.names, ["10.77.0.13"]);
    assert_eq!(found.garbage.len(), 4);
}

#[test]
fn what_a_crash_left_is_written_over() {
    let dir = Scratch::new();
    let path = dir.path("file");
    // A link here must not be followed: the directory is not root's.
    dir.write("victim", "untouched");
    symlink(dir.path("victim"), dir.path(".file.new")).unwrap();
    durable::write(&path, b"content", 0o600).unwrap();
    assert_eq!(
        (dir.read("file"), dir.read("victim")),
        ("content".into(), "untouched".into())
    );
    assert!(!dir.path(".file.new").exists());
    assert!(durable::remove(&path).unwrap());
    assert!(!durable::remove(&path).unwrap());
}

#[test]
fn only_one_at_a_time() {
    let dir = Scratch::new();
    let state = state(&dir);
    let lock = state.lock().unwrap();
    assert!(state
        .lock()
        .unwrap_err()
        .to_string()
        .contains("notified already"));
    drop(lock);
    state.lock().unwrap();
}
