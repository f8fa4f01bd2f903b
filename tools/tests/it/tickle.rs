// SPDX-License-Identifier: GPL-2.0-only

//! Clients of a node that has gone, in a network namespace of their own.

use crate::network::{
    json,
    Network,
    IP,
    IP6, //
};
use nfs_failoverctl::connections::packet::syn_ack;
use std::net::SocketAddr;

#[test]
fn segments() {
    let v4 = ("10.77.0.100:2049", "10.77.0.13:871", 20);
    let v6 = ("[fd77::100]:4001", "[fd77::13]:65535", 40);
    for (from, to, header) in [v4, v6] {
        let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
        let packet = syn_ack(from, to, 0xfedc_ba98, 0x0123_4567).unwrap();
        assert_eq!(packet.len(), header + 20);
        let word = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
        assert_eq!((word(header), word(header + 2)), (from.port(), to.port()));
        assert_eq!(
            packet[header + 4..header + 14],
            [0xfe, 0xdc, 0xba, 0x98, 0x01, 0x23, 0x45, 0x67, 0x50, 0x12]
        );
        // The sum of all words of addresses, segment and pseudo header.
        let addresses = if header == 20 { 12 } else { 8 };
        let words = packet[addresses..].chunks(2);
        let sum: u32 = words
            .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])))
            .sum();
        let sum = sum + 20 + 6;
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
    }
    let (v4, v6) = (v4.0.parse().unwrap(), v6.0.parse().unwrap());
    assert_eq!(syn_ack(v4, v6, 0, 0), None);
}

/// `$1` is the floating IP, `$2` its prefix, `$3` the client's address. The server ends one of two
/// connections as a crash would, without a word.
const NETWORK: &str = r#"
    serve() {
        ip addr flush dev lo
        ip addr add $1/$2 dev near ${4:-}
        in_client ip addr add $3/$2 dev far ${4:-}
        python3 -c "
import socket, sys
family = socket.AF_INET6 if ':' in '$1' else socket.AF_INET
listener = socket.socket(family)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(('$1', 2049))
listener.listen()
print('ready', flush=True)
dies, lives = (listener.accept()[0] for _ in range(2))
print('connected', flush=True)
sys.stdin.readline()
TCP_REPAIR = 19
dies.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
dies.close()
print('gone', flush=True)
sys.stdin.readline()
lives.sendall(b'x')
sys.stdin.readline()" >server <pipe &
        SERVER=$!
        exec 8>pipe
        wait_for server ready
        in_client python3 -c "
import socket, sys
def connect(port):
    return socket.create_connection(('$1', 2049), 60, ('$3', port))
dies, lives = connect(871), connect(872)
def receive(connection, seconds):
    connection.settimeout(seconds)
    try:
        return connection.recv(1)
    except ConnectionResetError:
        return 'reset'
    except TimeoutError:
        return 'hangs'
print('ready', flush=True)
sys.stdin.readline()
print(receive(dies, 2), flush=True)
print(receive(dies, 30), flush=True)
dies.close()
dies = connect(871)
print('again', flush=True)
print(receive(lives, 30), flush=True)" >client <pipe2 &
        exec 7>pipe2
        wait_for client ready
        wait_for server connected
    }
    in_client() { nsenter --net=/proc/$CLIENT/ns/net "$@"; }
    wait_for() {
        for i in $(seq 300); do ! grep -q $2 $1 2>/dev/null || return 0; sleep 0.1; done
        exit 99
    }
    mkfifo pipe pipe2
    unshare --net sleep 600 &
    CLIENT=$!
    # Who is left keeps the test's pipes open. A client ends by itself.
    SERVER=
    trap 'kill $CLIENT $SERVER' EXIT
    until [ $(readlink /proc/$CLIENT/ns/net) != $(readlink /proc/self/ns/net) ]; do sleep 0.1; done
    ip link add near type veth peer name far netns $CLIENT
    ip link set near up
    in_client ip link set far up
"#;

/// Who tells clients comes when this node has already listed its own, which is one of the two.
const LATE: &str = "
    (
        cd srv/.nsm/$IP
        mv connections connections.before
        sed 2d connections.before >connections
        chmod 600 connections
    )";

/// Has a firewall on the side of the client, and of the node that tickles, which has not seen how the
/// connections began.
const FIREWALLS: [&str; 2] = ["in_client $DROP_INVALID", "$DROP_INVALID"];

fn told(ip: &str, serve: &str, [far, near]: [&str; 2]) -> Option<()> {
    let network = Network::new(ip, std::iter::empty());
    let script = format!(
        "{NETWORK}
        IP={ip}
        DROP_INVALID=\"python3 ${{RESPONDERS%/*}}/drop_invalid.py\"
        {far}
        rm -rf root/proc/net
        ln -s /proc/net root/proc/net
        serve {serve}
        $CTL records --watch &
        wait_for srv/.nsm/$IP/connections 872
        kill $!
        echo go >&8
        wait_for server gone
        {near}
        echo go >&7
        wait_for client hangs
        $CTL --json notify --force --ip {ip} >told || echo $? >exit
        wait_for client again
        echo go >&8
        wait_for client x
        cat told"
    );
    let ran = network.run(&script)?;
    let read = |name: &str| network.node.dir.read(name);
    assert_eq!(ran.exit, 0, "{ran:?} {}", read("client"));
    assert_eq!(read("client"), "ready\nhangs\nreset\nagain\nb'x'\n");
    // Nobody else waits for it, however busy the machine is.
    let told = json(&ran);
    assert_eq!(told["tickled"]["connections"], 2, "{told}");
    Some(())
}

#[test]
fn a_connection_to_a_node_that_has_gone_ends() {
    let _ = told(IP, &format!("{IP} 24 10.77.0.9"), [""; 2]);
}

#[test]
fn a_connection_over_ipv6_ends() {
    let _ = told(IP6, &format!("{IP6} 64 fd00:77::9 nodad"), [""; 2]);
}

#[test]
fn a_list_that_was_put_aside_is_read() {
    let _ = told(IP, &format!("{IP} 24 10.77.0.9"), ["", LATE]);
}

/// Whichever filesystem behind the address has the list, each is told once.
#[test]
fn the_list_of_any_filesystem_behind_the_address_is_read() {
    const SECOND: &str = "
        cp -a srv/.nsm srv2/
        printf '[[service]]\\nname = \"s2\"\\npath = \"%s/srv2\"\\nfsid = \"5678\"\\nip = \"%s\"\\n' $PWD $IP >>config
        sed 's|/srv |/srv2 |' mountinfo >second && cat second >>mountinfo
        rm srv/.nsm/$IP/connections";
    let _ = told(IP, &format!("{IP} 24 10.77.0.9"), ["mkdir srv2", SECOND]);
}

/// The client connects anew from the same port, as Linux does, and at once.
#[test]
fn firewalls_that_track_connections_let_it_end() {
    let _ = told(IP, &format!("{IP} 24 10.77.0.9"), FIREWALLS);
}

#[test]
fn firewalls_of_ipv6_let_it_end() {
    let _ = told(IP6, &format!("{IP6} 64 fd00:77::9 nodad"), FIREWALLS);
}

#[test]
fn a_firewall_of_one_side_lets_it_end() {
    let serve = format!("{IP} 24 10.77.0.9");
    let _ = told(IP, &serve, [FIREWALLS[0], ""]);
    let _ = told(IP, &serve, ["", FIREWALLS[1]]);
}
