// SPDX-License-Identifier: GPL-2.0-only

//! What facts mean.

use nfs_failoverctl::mounts;
use nfs_failoverctl::ocf::facts::{
    Facts,
    Module, //
};
use nfs_failoverctl::ocf::held::parse;
use nfs_failoverctl::ocf::judge::{
    is_listed,
    is_untouched,
    judge,
    State, //
};
use nfs_failoverctl::status::line::Status;

const RECOVERING: &str = "unit fsid=1234 phase=recovering left=60 reclaimed=0";

/// A filesystem that is mounted and exported, of which the module knows this.
fn facts(units: &str, floating: bool) -> Facts {
    let ip = "10.77.0.100".parse().unwrap();
    let mounts = mounts::parse(b"30 1 8:1 / /srv/s1 rw - ext4 /dev/sdz rw\n");
    Facts {
        module: Ok(Some(Module {
            floating: Vec::from_iter(floating.then_some(ip)),
            not_floating: Vec::from_iter((!floating).then_some(ip)),
            strangers: Vec::new(),
            units: Status::parse(units.as_bytes()).lines,
            hooks_dead: false,
        })),
        mount: Ok(mounts.into_iter().next()),
        exported: Ok(true),
        elsewhere: Ok(None),
        listed: Ok(true),
        up: Ok(Vec::new()),
        held: Ok(Vec::new()),
    }
}

#[test]
fn one_fact_that_is_not_seen_is_enough() {
    let stopped = facts("", false);
    assert_eq!(judge(&stopped), State::Stopped);
    let why = || "x".to_string();
    let unseen = [
        Facts {
            module: Err(why()),
            ..stopped.clone()
        },
        Facts {
            mount: Err(why()),
            ..stopped.clone()
        },
        Facts {
            exported: Err(why()),
            ..stopped.clone()
        },
        Facts {
            up: Err(why()),
            ..stopped.clone()
        },
        Facts {
            held: Err(why()),
            ..stopped.clone()
        },
    ];
    for facts in unseen {
        assert_eq!(judge(&facts), State::Unseen(why()), "{facts:?}");
    }
    // Who has nothing mounted need not know what is exported.
    let gone = Facts {
        mount: Ok(None),
        exported: Err(why()),
        up: Err(why()),
        ..stopped
    };
    assert_eq!(judge(&gone), State::Stopped);
}

#[test]
fn one_address_of_two_is_not_enough() {
    let mut both = facts("", true);
    assert_eq!(judge(&both), State::Running);
    if let Ok(Some(module)) = &mut both.module {
        module.not_floating.push("10.77.0.101".parse().unwrap());
    }
    // It was written into the file a moment ago.
    assert!(matches!(judge(&both), State::Edited(why) if why.starts_with("10.77.0.101")));
    both.up = Ok(vec!["10.77.0.101".parse().unwrap()]);
    assert!(matches!(judge(&both), State::Broken(why) if why.starts_with("10.77.0.101")));
    both.up = Err("x".into());
    assert_eq!(judge(&both), State::Unseen("x".into()));
}

#[test]
fn a_list_is_kept_only_if_nobody_can_have_come() {
    let failed = facts(RECOVERING, true);
    assert!(is_untouched(&failed, true) && !is_untouched(&failed, false));
    let came = [
        Facts {
            held: Ok(vec!["1 lock".into()]),
            ..failed.clone()
        },
        Facts {
            held: Err("x".into()),
            ..failed.clone()
        },
        Facts {
            up: Ok(vec!["10.77.0.100".parse().unwrap()]),
            ..failed.clone()
        },
        Facts {
            up: Err("x".into()),
            ..failed.clone()
        },
        facts(&RECOVERING.replace("=0", "=1"), true),
        facts(&RECOVERING.replace(" reclaimed=0", ""), true),
        facts(&format!("{RECOVERING} manifest=0 outstanding=0"), true),
        facts(&RECOVERING.replace("recovering", "recovered"), true),
        facts(&RECOVERING.replace("recovering", "released"), true),
        facts("", true),
        Facts {
            module: Ok(None),
            ..failed
        },
    ];
    for facts in &came {
        assert!(!is_untouched(facts, true), "{facts:?}");
    }
    let released = facts(&RECOVERING.replace("recovering", "released"), true);
    assert!(is_listed(&released, true) && !is_listed(&released, false));
    let held = Facts {
        held: Ok(vec!["1 lock".into()]),
        ..released
    };
    assert!(!is_listed(&held, true));
    assert!(!is_listed(&facts(RECOVERING, true), true));
}

#[test]
fn locks_are_read() {
    let dev = |line| parse(line).map(|(pid, dev)| (pid, dev.major, dev.minor));
    let line = "1: POSIX  ADVISORY  WRITE 845 fe:10:13 0 EOF";
    assert_eq!(dev(line), Some((845, 0xfe, 0x10)));
    assert_eq!(dev("1: -> POSIX  ADVISORY  WRITE 845 fe:10:13 0 9"), None);
    assert_eq!(dev("2: FLOCK  ADVISORY  WRITE 845 fe:10:13 0 9"), None);
    assert_eq!(dev("3: OFDLCK ADVISORY  WRITE -1 fe:10:13 0 9"), None);
}
