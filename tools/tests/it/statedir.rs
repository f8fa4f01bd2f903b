// SPDX-License-Identifier: GPL-2.0-only

use crate::common::{
    me,
    service,
    Scratch, //
};
use nfs_failoverctl::durable;
use nfs_failoverctl::statedir::{
    after,
    bad_name,
    StateDir, //
};
use std::fs;
use std::os::unix::fs::symlink;
use std::thread;

const NOW: i32 = 1_763_731_235;

fn state(dir: &Scratch) -> StateDir {
    let state = StateDir::of(&service(dir));
    assert_eq!(state.create(me()).unwrap(), [""; 0]);
    state
}

#[test]
fn state_numbers() {
    let cases: &[(&[u8], i32, bool)] = &[
        // An old number may have been put there by a client.
        (b"1\n", NOW, false),
        (b"5\n", NOW, false),
        (b"2000000001\n", 2000000003, false),
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
    let kept = dir.read("srv/nsm/10.77.0.101/state");
    assert_eq!(kept, format!("{}\n", first.number));
    assert_eq!(state.next_state().unwrap().number, first.number + 2);
    dir.write("srv/nsm/10.77.0.101/state", "half\n");
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
    let clients = dir.path("srv/nsm/10.77.0.101/clients");
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
fn many_write_one_file() {
    let dir = Scratch::new();
    let path = dir.path("file");
    thread::scope(|scope| {
        for writer in 0..8 {
            let path = &path;
            scope.spawn(move || {
                for _ in 0..50 {
                    let content = writer.to_string().repeat(1000);
                    durable::write_for(path, content.as_bytes(), 0o600, None).unwrap();
                }
            });
        }
    });
    let content = dir.read("file");
    assert!(content.len() == 1000 && content.bytes().all(|byte| byte == content.as_bytes()[0]));
    assert_eq!(fs::read_dir(dir.path("")).unwrap().count(), 1);
    assert!(durable::remove(&path).unwrap());
    assert!(!durable::remove(&path).unwrap());
}

/// statd and a later try of its callout, on one client.
#[test]
fn many_make_one_record() {
    let dir = Scratch::new();
    let state = state(&dir);
    for round in 0..50 {
        let name = format!("10.77.0.{round}");
        let new = thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| state.record(&name).unwrap()))
                .collect();
            writers
                .into_iter()
                .map(|writer| writer.join().unwrap())
                .filter(|new| *new)
                .count()
        });
        assert_eq!(new, 1);
    }
    let clients = state.clients().unwrap();
    assert_eq!((clients.names.len(), clients.garbage.len()), (50, 0));
    assert_eq!(
        fs::read_dir(dir.path("srv/nsm/10.77.0.101/clients"))
            .unwrap()
            .count(),
        50
    );
}

#[test]
fn only_one_at_a_time() {
    let dir = Scratch::new();
    let state = state(&dir);
    let lock = state.lock().unwrap();
    assert!(lock.is_some());
    assert!(state.lock().unwrap().is_none());
    drop(lock);
    assert!(state.lock().unwrap().is_some());
}
