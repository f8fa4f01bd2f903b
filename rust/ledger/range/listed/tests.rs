// SPDX-License-Identifier: GPL-2.0-only

//! Tests of `listed.rs`; what it finds is tested with what is outstanding of it.

use super::*;

#[test]
fn what_is_held_counts_like_what_was() {
    let range = |start, end| Range {
        svid: 0,
        exclusive: true,
        start,
        end,
    };
    let listed = [(0, 7), (20, 29)];
    let reach = |want: u64| {
        let found = listed
            .iter()
            .find(|(start, end)| (*start..=*end).contains(&want));
        found.map(|(_, end)| *end)
    };
    let cases: &[(Range, &[Range], bool)] = &[
        (range(0, 7), &[], true),
        (range(0, 8), &[], false),
        (range(0, 39), &[range(8, 19), range(30, 39)], true),
        (range(0, 39), &[range(0, 19), range(15, 39)], true),
        (range(0, 39), &[range(30, 39), range(5, 25)], true),
        (range(0, 39), &[range(8, 18), range(30, 39)], false),
        (range(0, 40), &[range(8, 19), range(30, 39)], false),
        (range(50, 50), &[range(50, 50)], true),
        (range(50, 51), &[range(50, 50)], false),
        (range(50, 50), &[], false),
    ];
    for (range, held, expected) in cases {
        assert_eq!(covered(range, held, reach), *expected, "{range:?} {held:?}");
    }
}

#[test]
fn what_cannot_be_held_at_once_is_no_list() {
    // File, owner, svid, exclusive, first and last byte.
    type Row = (u32, u32, u32, bool, u64, u64);
    let cases: &[(&[Row], Option<usize>)] = &[
        (&[], Some(0)),
        (&[(0, 0, 1, true, 0, 9), (0, 0, 1, true, 10, 19)], Some(2)),
        // One holder twice.
        (&[(0, 0, 1, true, 0, 9), (0, 0, 1, true, 0, 9)], None),
        (&[(0, 0, 1, false, 0, 9), (0, 0, 1, true, 9, 9)], None),
        (&[(0, 0, 1, false, 0, 9), (0, 0, 1, false, 5, 14)], Some(2)),
        (&[(0, 0, 1, false, 0, 9), (0, 0, 1, false, 5, 7)], Some(1)),
        // Two holders.
        (&[(0, 0, 1, false, 0, 9), (0, 0, 2, false, 5, 14)], Some(2)),
        (&[(0, 0, 1, true, 0, 9), (0, 0, 2, true, 0, 9)], None),
        (&[(0, 0, 1, true, 0, 9), (0, 1, 1, true, 9, 20)], None),
        (&[(0, 0, 1, true, 0, 9), (0, 1, 1, true, 10, 20)], Some(2)),
        (&[(0, 0, 1, true, 0, 9), (0, 1, 1, false, 9, 20)], None),
        (&[(0, 0, 1, false, 0, 9), (0, 1, 1, true, 9, 20)], None),
        (
            &[
                (0, 0, 1, false, 0, i64::MAX as u64),
                (0, 1, 1, false, 3, 4),
                (0, 2, 1, true, 9, 9),
            ],
            None,
        ),
        // Other files.
        (&[(0, 0, 1, true, 0, 9), (1, 0, 2, true, 0, 9)], Some(2)),
    ];
    for (rows, expected) in cases {
        let mut locks = [Lock {
            file: 0,
            owner: 0,
            client: 0,
            range: Range {
                svid: 0,
                exclusive: false,
                start: 0,
                end: 0,
            },
        }; 4];
        for (lock, (file, owner, svid, exclusive, start, end)) in locks.iter_mut().zip(*rows) {
            (lock.file, lock.owner) = (*file, *owner);
            lock.range = Range {
                svid: *svid,
                exclusive: *exclusive,
                start: *start,
                end: *end,
            };
        }
        let found = arrange(&mut locks[..rows.len()]).ok();
        assert_eq!(found, *expected, "{rows:?}");
    }
}
