// SPDX-License-Identifier: GPL-2.0-only

use nfs_failoverctl::notify::connection::record;
use nfs_failoverctl::ports;
use std::collections::BTreeSet;

#[test]
fn ports_that_answers_do_not_reach_are_left_out() {
    let ports: Vec<_> = ports::reserved().collect();
    let different: BTreeSet<_> = ports.iter().copied().collect();
    assert_eq!(ports.len(), different.len());
    assert!(ports.len() > 400, "{}", ports.len());
    assert!(different.iter().all(|port| (600..1024).contains(port)));
    for taken in [623, 664, 631, 873] {
        assert!(!different.contains(&taken), "{taken}");
    }
}

#[test]
fn nobody_knows_where_it_begins() {
    let first: BTreeSet<_> = (0..50).filter_map(|_| ports::reserved().next()).collect();
    assert!(first.len() > 10, "{first:?}");
}

#[test]
fn blacklists_are_read() {
    let list = "# ports\n623 # ASF\n631\t# cups\n\n  \n774#rpasswd\nnone\n99999\n";
    assert_eq!(ports::listed(list), [623, 631, 774]);
}

#[test]
fn records_are_put_together() {
    let whole = b"\x80\0\0\x03abc";
    assert_eq!(record(whole), Some(b"abc".to_vec()));
    for length in 0..whole.len() {
        assert_eq!(record(&whole[..length]), None, "{length}");
    }
    let pieces = b"\0\0\0\x02ab\0\0\0\0\x80\0\0\x01c and the next";
    assert_eq!(record(pieces), Some(b"abc".to_vec()));
    assert_eq!(record(b"\xff\xff\xff\xffabc"), None);
}
