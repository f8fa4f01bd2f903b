// SPDX-License-Identifier: GPL-2.0-only

//! Records of clients and state numbers, and the directories that they are in.

use super::{
    at_once,
    plants,
    put,
    serve,
    untouched,
    NOT_OURS,
    PLANTS, //
};
use crate::common::{
    me,
    Scratch,
    MANIFEST, //
};
use nfs_failoverctl::manifest::{
    Found,
    Stored, //
};
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
