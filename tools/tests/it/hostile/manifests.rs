// SPDX-License-Identifier: GPL-2.0-only

//! Manifests, and the room that is kept for them.

use super::{
    at_once,
    plants,
    put,
    serve,
    untouched, //
};
use crate::common::{
    Scratch,
    MANIFEST, //
};
use nfs_failoverctl::config::Service;
use nfs_failoverctl::key::Key;
use nfs_failoverctl::manifest::{
    Found,
    Stored, //
};
use std::fs::{
    self,
    Permissions, //
};
use std::os::unix::fs::{
    MetadataExt,
    PermissionsExt, //
};

fn stored(dir: &Scratch) -> (Service, Stored) {
    let (service, _) = serve(dir);
    let stored = Stored::new(&service, &dir.path("srv/nsm/manifest")).unwrap();
    (service, stored)
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
