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
