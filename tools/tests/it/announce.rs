// SPDX-License-Identifier: GPL-2.0-only

//! What tells the network where an address is now.

use crate::network::{
    Network,
    IP, //
};
use nfs_failoverctl::announce;

#[test]
fn announcements() {
    let mac = [2, 0, 0, 0, 0, 9];
    let arp = announce::arp(mac, "10.77.0.100".parse().unwrap());
    assert_eq!(arp.len(), 42);
    assert_eq!(arp[28..32], arp[38..42]);
    let frame = announce::advertisement(mac, "fd77::100".parse().unwrap());
    assert_eq!(
        (frame.len(), frame[54], frame[58]),
        (14 + 40 + 32, 136, 0x20)
    );
    // The sum of all words of the message and its pseudo header.
    let words = |bytes: &[u8]| -> u32 {
        let pairs = bytes.chunks(2);
        pairs
            .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
            .sum()
    };
    let sum = words(&frame[22..]) + 32 + 58;
    assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
}

/// Whoever brought the address up may have been killed before the network was told.
#[test]
fn an_address_that_is_up_is_announced() {
    let network = Network::new(IP, std::iter::empty());
    let script = format!(
        "ip link add near type veth peer name far
        ip link set far up
        ip link set near up
        ip addr del {IP}/32 dev lo
        ip addr add {IP}/24 dev near
        for way in '5 --address --dry-run' 5 '600 --address'; do
            set -- $way
            patience=$1
            rm -f heard
            shift
            python3 -c \"
import socket
sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x806))
sock.bind(('far', 0))
print('ready', flush=True)
while True:
    frame = sock.recv(4096)
    print(socket.inet_ntoa(frame[28:32]), flush=True)\" >heard &
            until [ -s heard ]; do sleep 0.1; done
            $CTL takeover s1 $@ --no-notify --force >>out || [ $? = 3 ]
            for i in $(seq $patience); do [ $(wc -l <heard) = 1 ] || break; sleep 0.1; done
            kill $!
            tail -n 1 heard >>last
        done"
    );
    let Some(ran) = network.run(&script) else {
        return;
    };
    let read = |name: &str| network.node.dir.read(name);
    assert_eq!(
        read("last"),
        format!("ready\nready\n{IP}\n"),
        "{ran:?} {}",
        read("out")
    );
}
