// SPDX-License-Identifier: GPL-2.0-only

//! `stop`: success is that nothing was seen to be held or granted here, and that all was seen.

use super::{
    code,
    Agent,
    MANIFEST, //
};
use crate::awaited::anything;
use crate::common::{
    ELSEWHERE,
    HERE, //
};
use nfs_failoverctl::ocf::Code;
use std::fs;
use std::os::unix::fs::{
    MetadataExt,
    OpenOptionsExt, //
};
use std::time::{
    Duration,
    Instant, //
};

const RECOVERING: &str = "unit fsid=1234 phase=recovering left=60 reclaimed=0 refused=0 waits=0";
const RELEASED: &str =
    "unit fsid=1234 phase=released left=60 reclaimed=0 refused=0 waits=0 manifest=2";
const OTHER_LIST: &str = "\
nfs-failover-manifest 1
unit fsid=1234 phase=released taken=1763731235.000000001 valid=59
end locks=0 blocked=0 shares=0
";

#[track_caller]
fn expect(agent: &Agent, wanted: Code, words: &str) {
    let (exit, why) = agent.act("stop");
    assert_eq!(exit, code(wanted), "{why}");
    assert!(why.contains(words), "{why}");
}

impl Agent {
    /// Whether locks were dropped.
    fn has_dropped(&self) -> bool {
        self.node
            .dir
            .read("nfsd/nlm_unlock")
            .starts_with("1234 fence=90\n")
    }

    /// Locks go when they are dropped, a moment later.
    pub(super) fn drops_locks(&self) {
        let dir = self.node.dir.path("");
        std::thread::spawn(move || {
            for _ in 0..2000 {
                let told = fs::read_to_string(dir.join("nfsd/nlm_unlock")).unwrap_or_default();
                if told.starts_with("1234 fence=") {
                    let _ = fs::write(dir.join("root/proc/locks"), "");
                    return;
                }
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        });
    }
}

#[test]
fn stop_releases() {
    for unit in [
        "",
        RECOVERING,
        &format!("{RECOVERING} manifest=2 outstanding=1"),
    ] {
        let agent = Agent::new(unit, &[ELSEWHERE]);
        agent.node.has_manifest();
        expect(&agent, Code::Success, "");
        assert!(agent.has_dropped(), "{unit}");
        assert_eq!(agent.list(), MANIFEST, "{unit}");
        assert_eq!(agent.act("monitor").0, code(Code::NotRunning));
        // Once more: nothing is to be done, and the list stays as it is.
        agent.node.dir.write("nfsd/nlm_unlock", "");
        agent.has_list(OTHER_LIST);
        expect(&agent, Code::Success, "");
        assert!(!agent.has_dropped(), "{unit}");
        assert_eq!(agent.list(), OTHER_LIST);
    }
}

/// The first was killed after the fence: the address is in `floating_ips` yet.
#[test]
fn stop_finishes_what_was_killed() {
    let agent = Agent::new(RELEASED, &[ELSEWHERE]);
    agent.node.has_manifest();
    expect(&agent, Code::Success, "");
    assert!(agent.has_dropped());
    assert_eq!(agent.list(), MANIFEST);
    // After the list was written.
    let agent = Agent::new(RELEASED, &[ELSEWHERE]);
    agent.has_list(OTHER_LIST);
    expect(&agent, Code::Success, "");
    assert_eq!(
        (agent.has_dropped(), agent.list().as_str()),
        (false, OTHER_LIST)
    );
}

/// The filesystem was elsewhere since, and its newer list is what counts.
#[test]
fn stop_leaves_an_old_release_alone() {
    let agent = Agent::new(RELEASED, &[]);
    agent.node.has_manifest();
    agent.has_list(OTHER_LIST);
    expect(&agent, Code::Success, "");
    assert_eq!(
        (agent.has_dropped(), agent.list().as_str()),
        (false, OTHER_LIST)
    );
    // The other node has crashed: there is none, and the old one is none.
    let agent = Agent::new(RELEASED, &[]);
    agent.node.has_manifest();
    expect(&agent, Code::Success, "");
    assert_eq!((agent.has_dropped(), agent.list().as_str()), (false, ""));
}

/// A start that failed before it has used the list: what this node has is nothing, and not what
/// clients have.
#[test]
fn stop_of_a_failed_start_keeps_the_list() {
    for floating in [&[][..], &[ELSEWHERE]] {
        let agent = Agent::new(RECOVERING, floating);
        agent.node.has_manifest();
        agent.has_list(OTHER_LIST);
        expect(&agent, Code::Success, "");
        assert_eq!(agent.list(), OTHER_LIST, "{floating:?}");
        assert!(!agent.has_dropped());
        assert_eq!(agent.node.dir.read("nfsd/nlm_set_igrace"), "1234 0\n");
        assert_eq!(agent.act("monitor").0, code(Code::NotRunning));
    }
    // Somebody has reclaimed: a list that lies there is none of a failed start.
    let unit = RECOVERING.replace("reclaimed=0", "reclaimed=1");
    for (unit, floating) in [(unit.as_str(), &[][..]), ("", &[ELSEWHERE])] {
        let agent = Agent::new(unit, floating);
        agent.node.has_manifest();
        agent.has_list(OTHER_LIST);
        expect(&agent, Code::Success, "");
        assert!(agent.has_dropped());
        assert_eq!(agent.list(), MANIFEST, "{unit}");
    }
}

/// start was refused, as somebody holds something by another address of the node, or as an address was
/// left up: what is held here is not what clients have, and the other node has left a list of that.
#[test]
fn stop_of_a_refused_start_keeps_the_list() {
    for old in [OTHER_LIST, ""] {
        let agent = Agent::new("", &[]);
        agent.node.has_manifest();
        if !old.is_empty() {
            agent.has_list(old);
        }
        agent.holds("08:01");
        assert_eq!(agent.act("start").0, code(Code::Generic));
        agent.drops_locks();
        expect(&agent, Code::Success, "");
        assert!(agent.has_dropped());
        assert_eq!(agent.list(), old);
    }
    // Its clients may have come. They get the time to reclaim, all of them.
    let agent = Agent::at(HERE, "", &[]);
    agent.node.has_manifest();
    agent.has_list(OTHER_LIST);
    assert_eq!(agent.act("start").0, code(Code::Arguments));
    expect(&agent, Code::Success, "");
    assert!(agent.has_dropped());
    assert_eq!(agent.list(), "");
}

#[test]
fn stop_fails_if_locks_may_be_held() {
    // They were not dropped, whatever was said.
    let agent = Agent::new("", &[ELSEWHERE]);
    agent.node.has_manifest();
    agent.holds("08:01");
    expect(&agent, Code::Generic, "1 locks of NFSv3 clients");
    assert!(agent.has_dropped());
    // An NFSv4 client has something elsewhere, too.
    let states = "- 0x1: { type: open, superblock: \"08:01:13\", owner: \"x\" }\n\
                  - 0x2: { type: open, superblock: \"08:02:13\", owner: \"x\" }\n";
    let agent = Agent::new("", &[ELSEWHERE]);
    agent.node.has_manifest();
    agent.node.dir.write("nfsd/clients/7/states", states);
    agent.node.dir.write("nfsd/clients/7/ctl", "");
    expect(&agent, Code::Generic, "NFSv4 client");
    assert_eq!(agent.node.dir.read("nfsd/clients/7/ctl"), "");
    let accept = [("OCF_RESKEY_expire_nfs4", "yes")];
    agent.act_with("stop", &accept);
    assert_eq!(agent.node.dir.read("nfsd/clients/7/ctl"), "expire\n");
}

#[test]
fn stop_fails_if_it_cannot_see() {
    let broken: [&dyn Fn(&Agent); 4] = [
        &|agent| drop(agent.node.dir.write("nfsd/failover_status", "")),
        &|agent| fs::remove_file(agent.node.dir.path("mountinfo")).unwrap(),
        &|agent| fs::remove_file(agent.node.dir.path("root/proc/locks")).unwrap(),
        &|agent| fs::remove_file(agent.node.dir.path("nfsd/nlm_unlock")).unwrap(),
    ];
    for (at, broken) in broken.iter().enumerate() {
        let agent = Agent::new("", &[ELSEWHERE]);
        agent.node.has_manifest();
        broken(&agent);
        assert_eq!(agent.act("stop").0, code(Code::Generic), "{at}");
    }
    // The module is loaded, and out of sight.
    let agent = Agent::new("", &[]);
    agent.has_no_module();
    agent
        .node
        .dir
        .write("root/sys/module/nfs_failover/refcnt", "");
    expect(&agent, Code::Generic, "start nfs-server");
}

#[test]
fn stop_where_nothing_is() {
    let agent = Agent::new("", &[]);
    agent.has_list(OTHER_LIST);
    expect(&agent, Code::Success, "");
    agent.has_no_module();
    expect(&agent, Code::Success, "");
    assert_eq!(
        (agent.has_dropped(), agent.list().as_str()),
        (false, OTHER_LIST)
    );
}

#[test]
fn stop_of_what_is_unmounted() {
    let agent = Agent::new(&format!("{RECOVERING} manifest=2"), &[ELSEWHERE]);
    agent
        .node
        .dir
        .write("mountinfo", "30 1 8:2 / /other rw - ext4 /dev/sdy rw\n");
    expect(&agent, Code::Success, "");
    // It could come back, and would go on with what it was given then; or it is mounted elsewhere.
    assert!(agent.has_dropped());
    let agent = Agent::new("", &[ELSEWHERE]);
    agent
        .node
        .dir
        .write("mountinfo", "30 1 8:2 / /other rw - ext4 /dev/sdy rw\n");
    agent.holds("08:01");
    expect(&agent, Code::Generic, "1 locks of NFSv3 clients");
    assert!(agent.has_dropped());
}

/// btrfs and ZFS have no device of their own, but numbers that the kernel gives them.
#[test]
fn stop_knows_filesystems_without_a_device() {
    let agent = || {
        let agent = Agent::new("", &[ELSEWHERE]);
        agent.node.has_manifest();
        let mounts = agent.node.dir.read("mountinfo").replace(" 8:1 ", " 0:42 ");
        let other = "31 1 0:43 / /other rw - btrfs /dev/sdy rw\n";
        agent
            .node
            .dir
            .write("mountinfo", &format!("{mounts}{other}"));
        agent
    };
    let of_another = agent();
    of_another.holds("00:2b");
    expect(&of_another, Code::Success, "");
    let own = agent();
    own.holds("00:2a");
    expect(&own, Code::Generic, "1 locks of NFSv3 clients");
    // It is unmounted, and lockd has it still.
    let other = "31 1 0:43 / /other rw - btrfs /dev/sdy rw\n";
    own.node.dir.write("mountinfo", other);
    expect(&own, Code::Generic, "1 locks of NFSv3 clients");
}

/// The kernel says that only NFSv4 clients had something: the next node waits for these.
#[test]
fn stop_leaves_the_names_of_nfs4_clients() {
    let agent = Agent::new("", &[ELSEWHERE]);
    let dir = &agent.node.dir;
    let behind = |command: &str, reply: &str| format!("{}{reply}\n", "x".repeat(command.len()));
    let reply = "locks=0 blocked=0 shares=0 files=0 manifest=none nfs4=only";
    dir.write("nfsd/nlm_unlock", &behind("1234 fence=90\n", reply));
    let reply = "unit fsid=1234 phase=released taken=1763731234.000000001 valid=60";
    dir.write("nfsd/nfs4_clients", &behind("1234\n", reply));
    dir.write(
        "nfsd/clients/3/info",
        &format!("status: confirmed\nname: \"c1@{ELSEWHERE}\"\nminor version: 2\n"),
    );
    let states = "- 0x1: { type: open, superblock: \"08:01:12\", owner: \"o\" }\n";
    dir.write("nfsd/clients/3/states", states);
    let ctl = dir.write("nfsd/clients/3/ctl", "");
    dir.write("srv/.nsm/manifest.nfs4", "an old one");
    agent.has_list(OTHER_LIST);
    let client = dir.path("nfsd/clients/3");
    let kernel = std::thread::spawn(move || {
        for _ in 0..2000 {
            if fs::read_to_string(&ctl).unwrap_or_default() == "expire\n" {
                fs::remove_dir_all(client).unwrap();
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    });
    expect(&agent, Code::Success, "");
    kernel.join().unwrap();
    let list = dir.read("srv/.nsm/manifest.nfs4");
    let end = anything(&[12]) + "end clients=1 files=1 locks=0\n";
    let end = format!("client name=c1@{ELSEWHERE}\n{end}");
    assert!(list.ends_with(&end), "{list}");
    assert!(!dir.path("srv/.nsm/manifest").exists());
}

/// "umount -l" leaves it to nfsd, and to everybody else who has something open: another node that
/// mounts it then has it at the same time.
#[test]
fn stop_of_what_is_unmounted_and_still_open() {
    let hidden = || {
        let agent = Agent::new("", &[ELSEWHERE]);
        agent
            .node
            .dir
            .write("mountinfo", "30 1 8:2 / /other rw - ext4 /dev/sdy rw\n");
        agent
    };
    let holds = |agent: &Agent, device: &str| {
        let states =
            format!("- 0x1: {{ type: open, superblock: \"{device}:13\", owner: \"x\" }}\n");
        agent.node.dir.write("nfsd/clients/7/states", &states);
    };
    let agent = hidden();
    holds(&agent, "08:01");
    // Nor does it help to stop it once more.
    for _ in 0..2 {
        expect(&agent, Code::Generic, "NFSv4 client");
    }
    // It has something of others.
    holds(&agent, "08:02");
    expect(&agent, Code::Success, "");
    // It cannot be seen what it has.
    fs::remove_file(agent.node.dir.path("nfsd/clients/7/states")).unwrap();
    expect(&agent, Code::Generic, "cannot see what NFSv4 clients have");
    // Whoever has the disk, has it.
    let disk = (0..8)
        .map(|number| format!("/dev/loop{number}"))
        .find_map(|name| Some((claim(&name)?, name)));
    let Some((claimed, name)) = disk else {
        eprintln!("SKIPPED: needs a block device that nobody uses");
        return;
    };
    let agent = hidden();
    let file = agent.node.dir.path("config");
    let text = fs::read_to_string(&file).unwrap();
    let sdz = agent.node.dir.path("sdz").display().to_string();
    fs::write(&file, text.replace(&sdz, &name)).unwrap();
    for _ in 0..2 {
        expect(&agent, Code::Generic, "is in use");
    }
    drop(claimed);
    // A program that another test is just starting may still have it.
    let deadline = Instant::now() + Duration::from_secs(30);
    while agent.act("stop").0 != 0 && Instant::now() < deadline {}
    expect(&agent, Code::Success, "");
}

/// The configuration file need not name the disk; but then nobody sees that it is in use.
#[test]
fn stop_of_what_is_unmounted_from_a_disk_that_nobody_knows() {
    let hidden = |floating: &[&str], device: &str| {
        let agent = Agent::new("", floating);
        let other = "30 1 8:2 / /other rw - ext4 /dev/sdy rw\n";
        agent.node.dir.write("mountinfo", other);
        let file = agent.node.dir.read("config");
        let line = file.lines().find(|line| line.starts_with("device"));
        let file = file.replace(line.unwrap(), device);
        agent.node.dir.write("config", &file);
        agent
    };
    for device in ["", "device = \"tank/s1\""] {
        let agent = hidden(&[ELSEWHERE], device);
        for _ in 0..2 {
            expect(&agent, Code::Generic, "is still in use cannot be seen");
        }
        assert!(agent.has_dropped());
        // It was not served here.
        expect(&hidden(&[], device), Code::Success, "");
    }
}

/// A block device for ourselves, as a mount has it.
fn claim(name: &str) -> Option<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.read(true).custom_flags(nix::libc::O_EXCL);
    options.open(name).ok()
}

/// The kernel can drop locks without the module, if nobody can come to take them again.
#[test]
fn stop_without_module() {
    let agent = Agent::new("", &[]);
    agent.has_no_module();
    agent.holds("08:01");
    agent.has_list(OTHER_LIST);
    let path = agent.node.dir.path("srv").display().to_string();
    agent.node.dir.write("nfsd/unlock_filesystem", "");
    expect(&agent, Code::Generic, "locks may still be held");
    assert_eq!(
        agent.node.dir.read("nfsd/unlock_filesystem"),
        format!("{path}\n")
    );
    assert_eq!(agent.list(), "");
    // Clients are here, and would come again.
    let agent = Agent::at(HERE, "", &[]);
    agent.has_no_module();
    agent.holds("08:01");
    agent.node.dir.write("nfsd/unlock_filesystem", "");
    expect(&agent, Code::Generic, "is up");
    assert_eq!(agent.node.dir.read("nfsd/unlock_filesystem"), "");
    // The module is there and is not called; it may keep to what it has promised, too.
    for keeps in [false, true] {
        let agent = Agent::new("", &[ELSEWHERE]);
        agent.node.dir.write("nfsd/unlock_filesystem", "");
        if keeps {
            let file = agent.node.dir.path("nfsd/nlm_set_igrace");
            fs::remove_file(&file).unwrap();
            fs::create_dir(&file).unwrap();
        }
        agent.node.dir.write(
            "nfsd/failover_status",
            "totals units=0 hooks=dead nmissed=0\n",
        );
        expect(&agent, Code::Success, "");
        assert_eq!(agent.has_dropped(), keeps);
        let dropped = agent.node.dir.read("nfsd/unlock_filesystem");
        assert!(dropped.ends_with("/srv\n"), "{dropped}");
    }
}

/// From the look whether NFSv4 clients have something until locks are dropped is not the time to wait
/// for a disk.
#[test]
fn stop_without_module_removes_lists_first() {
    let agent = Agent::new("", &[]);
    agent.has_no_module();
    agent.has_list(OTHER_LIST);
    agent.node.dir.write("srv/.nsm/manifest.nfs4", OTHER_LIST);
    agent.node.dir.write("nfsd/unlock_filesystem", "");
    let states = "- 0x1: { type: open, superblock: \"08:01:13\", owner: \"x\" }\n\
                  - 0x2: { type: open, superblock: \"08:02:13\", owner: \"x\" }\n";
    agent.node.dir.write("nfsd/clients/7/states", states);
    expect(&agent, Code::Generic, "on other filesystems");
    assert_eq!(agent.node.dir.read("nfsd/unlock_filesystem"), "");
    assert_eq!(agent.list(), "");
    assert!(!agent.node.dir.path("srv/.nsm/manifest.nfs4").exists());
}

/// An NFSv4 client that has a delegation of the directory cannot be asked to give it back when the
/// address is down.
#[test]
fn stop_touches_no_directory_that_clients_see() {
    let agent = Agent::new("", &[ELSEWHERE]);
    agent.node.has_manifest();
    let before = fs::metadata(agent.node.dir.path("srv")).unwrap();
    agent.node.dir.write("srv/.nsm/reserve", "");
    let made = fs::metadata(agent.node.dir.path("srv")).unwrap();
    assert_ne!(before.mtime_nsec(), made.mtime_nsec());
    expect(&agent, Code::Success, "");
    let after = fs::metadata(agent.node.dir.path("srv")).unwrap();
    assert_eq!(
        (made.mtime(), made.mtime_nsec()),
        (after.mtime(), after.mtime_nsec())
    );
}
