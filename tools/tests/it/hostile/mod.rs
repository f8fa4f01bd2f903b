// SPDX-License-Identifier: GPL-2.0-only

//! What a client can put where the state of a service is, and what must not become of it.

mod commands;
mod manifests;
mod records;

use crate::common::{
    me,
    service,
    Scratch,
    MANIFEST, //
};
use nfs_failoverctl::apart;
use nfs_failoverctl::config::Service;
use nfs_failoverctl::key::Key;
use nfs_failoverctl::manifest::Stored;
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

/// What `release` writes.
fn put(dir: &Scratch, key: Option<&Key>) {
    let text = Stored::signed(MANIFEST.into(), key).unwrap();
    apart::write_here(&dir.path("srv"), &dir.path("srv/nsm/manifest"), &text).unwrap();
}
