// SPDX-License-Identifier: GPL-2.0-only

//! Whether clients of an address can be told, by what is behind it.

use nfs_failoverctl::mark::Mark;
use nfs_failoverctl::notify::behind::{
    lack,
    over,
    Filesystem,
    Lack, //
};

fn mark(command: &str, is_listed: bool) -> Option<Mark> {
    let command = command.into();
    Some(Mark {
        command,
        is_listed,
        ips: Vec::new(),
    })
}

fn recovering() -> Filesystem {
    Filesystem {
        recovers: true,
        mark: mark("1", false),
        is_exported: true,
        ..Filesystem::default()
    }
}

fn through() -> Filesystem {
    Filesystem {
        recovers: false,
        ..recovering()
    }
}

#[test]
fn one_that_is_through_keeps_nobody_from_the_other() {
    let all = |first, second| lack(&[first, second], true);
    assert_eq!(all(recovering(), recovering()), None);
    assert_eq!(all(through(), recovering()), None);
    assert_eq!(all(recovering(), through()), None);
    // Nobody can reclaim anything.
    assert_eq!(all(through(), through()), Some((0, Lack::Recovery)));
    assert_eq!(lack(&[through()], true), Some((0, Lack::Recovery)));
}

#[test]
fn what_has_not_recovered_with_it_does() {
    let second = |second| lack(&[recovering(), second], true);
    let lacks = Some((1, Lack::Recovery));
    let other = |command: Option<&str>| Filesystem {
        mark: command.and_then(|command| mark(command, false)),
        ..through()
    };
    // Never, or at another time.
    assert_eq!(second(other(None)), lacks);
    assert_eq!(second(other(Some("0"))), lacks);
    let released = Filesystem {
        is_released: true,
        ..through()
    };
    assert_eq!(second(released), lacks);
    assert_eq!(lack(&[recovering(), through()], false), lacks);
    // By whatever way it has begun.
    let by_hand = Filesystem {
        mark: None,
        ..recovering()
    };
    assert_eq!(lack(&[recovering(), by_hand], false), None);
}

#[test]
fn all_of_several_have_to_be_exported() {
    let hidden = |of: Filesystem| Filesystem {
        is_exported: false,
        ..of
    };
    assert_eq!(lack(&[hidden(recovering())], false), None);
    for second in [recovering(), through()] {
        let found = lack(&[recovering(), hidden(second)], true);
        assert_eq!(found, Some((1, Lack::Export)));
    }
}

/// That it began with the other one does not say that nobody has lost anything.
#[test]
fn what_was_over_by_time_is_named() {
    let listed = Filesystem {
        mark: mark("1", true),
        ..through()
    };
    let all = |second| over(&[recovering(), second]).collect::<Vec<_>>();
    assert!(all(recovering()).is_empty());
    assert!(all(listed.clone()).is_empty());
    assert_eq!(all(through()), [1]);
    let released = Filesystem {
        is_released: true,
        ..listed
    };
    assert_eq!(all(released), [1]);
}
