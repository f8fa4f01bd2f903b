// SPDX-License-Identifier: GPL-2.0-only

use nfs_failoverctl::notify::peer::{
    Names,
    Next,
    Peer,
    Stage, //
};
use nfs_failoverctl::rpc::{
    Decoder,
    Refusal, //
};
use std::net::IpAddr;
use std::time::Duration;

const PORT: &[u8] = &[0, 0, 8, 1];
const NOW: Duration = Duration::from_secs(1);

fn ip() -> IpAddr {
    "10.77.0.101".parse().unwrap()
}

fn names(name: Option<Option<&str>>) -> Names {
    Names {
        ip: "10.77.0.101".into(),
        name: name.map(|name| name.map(String::from)),
    }
}

fn port(peer: &Peer) -> u16 {
    peer.packet(ip(), &names(None), 5, 111).unwrap().0.port()
}

#[test]
fn a_client_is_told_by_address_then_by_name() {
    let mut peer = Peer::new("10.77.0.13", ip());
    assert_eq!((peer.stage(), port(&peer)), (Stage::AskPort, 111));
    let answer = peer.answer(Ok(Decoder::new(PORT)), ip(), &names(None), NOW);
    assert_eq!((answer, port(&peer)), (Next::Send, 0x801));
    assert_eq!(
        peer.answer(Ok(Decoder::new(&[])), ip(), &names(None), NOW),
        Next::Wait
    );
    assert_eq!(peer.stage(), Stage::AwaitName);
    let known = names(Some(Some("s1.example")));
    assert_eq!(peer.name_known(&known), Next::Send);
    let packet = peer.packet(ip(), &known, 5, 111).unwrap().1;
    assert!(packet.windows(10).any(|bytes| bytes == b"s1.example"));
    assert_eq!(
        peer.answer(Ok(Decoder::new(&[])), ip(), &known, NOW * 2),
        Next::Wait
    );
    assert!(peer.is_done());
    assert_eq!(peer.report().seconds, Some(1.0));
}

#[test]
fn without_a_name_one_answer_is_enough() {
    let mut peer = Peer::new("10.77.0.13", ip());
    peer.answer(Ok(Decoder::new(PORT)), ip(), &names(Some(None)), NOW);
    peer.answer(Ok(Decoder::new(&[])), ip(), &names(Some(None)), NOW);
    assert!(peer.is_done());
}

#[test]
fn pauses_grow_up_to_half_a_minute() {
    let mut peer = Peer::new("10.77.0.13", ip());
    let pauses: Vec<_> = (0..9).map(|_| peer.sent(None).as_millis()).collect();
    assert_eq!(
        pauses,
        [250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]
    );
    peer.timed_out();
    assert_eq!(peer.report().reason.unwrap(), "rpcbind does not answer");
}

#[test]
fn a_silent_statd_may_have_another_port() {
    let mut peer = Peer::new("10.77.0.13", ip());
    peer.answer(Ok(Decoder::new(PORT)), ip(), &names(None), NOW);
    let asked_again: Vec<_> = (0..4)
        .map(|_| {
            peer.sent(None);
            peer.timed_out()
        })
        .collect();
    assert_eq!(
        (asked_again, port(&peer)),
        (vec![false, false, false, true], 111)
    );
    let before = peer.pause();
    peer.answer(Ok(Decoder::new(PORT)), ip(), &names(None), NOW);
    assert_eq!((peer.stage(), peer.pause()), (Stage::Tell, before));
}

#[test]
fn reasons() {
    let reason = |peer: Peer| peer.report().reason.unwrap();
    let mut peer = Peer::new("10.77.0.13", ip());
    peer.answer(Ok(Decoder::new(&[0; 4])), ip(), &names(None), NOW);
    peer.timed_out();
    assert_eq!(reason(peer), "statd is not running");
    let mut peer = Peer::new("10.77.0.13", ip());
    assert_eq!(
        peer.answer(Ok(Decoder::new(&[0; 3])), ip(), &names(None), NOW),
        Next::Wait
    );
    assert_eq!(reason(peer), "rpcbind's answer is not understood");
    let mut peer = Peer::new("10.77.0.13", ip());
    peer.answer(Ok(Decoder::new(PORT)), ip(), &names(None), NOW);
    assert_eq!(
        peer.answer(Err(Refusal::Status(1)), ip(), &names(None), NOW),
        Next::Wait
    );
    assert_eq!(
        (peer.stage(), reason(peer)),
        (Stage::AskPort, "RPC: program unavailable".into())
    );
    assert!(reason(Peer::new("fd00::13", ip())).contains("no IPv4 address"));
    let mut peer = Peer::new("client", ip());
    assert_eq!(peer.stage(), Stage::Resolving);
    peer.resolved(&[], ip());
    assert_eq!(reason(peer), "its name has no address");
}
