// SPDX-License-Identifier: GPL-2.0-only

//! The list of connections to a floating IP, and what is believed of one.

mod kept;

use crate::common::{
    Node,
    Ran,
    HERE, //
};
use crate::group::beside;
use nfs_failoverctl::config::Config;
use nfs_failoverctl::connections::stored::{
    put_aside,
    read_all, //
};
use nfs_failoverctl::connections::{
    text,
    Chosen,
    Connection,
    MAX, //
};
use nfs_failoverctl::host::Host;
use std::collections::BTreeSet;
use std::fs::{
    self,
    Permissions, //
};
use std::net::{
    IpAddr,
    SocketAddr, //
};
use std::os::unix::fs::PermissionsExt;

const HEADER: &str = "nfs-failover-connections 1\n";
const LIST: &str = "srv/.nsm/127.0.0.1/connections";
const ESTABLISHED: u8 = 1;
const SYN_RECV: u8 = 3;
const CLOSE_WAIT: u8 = 8;
const LISTEN: u8 = 10;

/// One end, as the kernel's tables have it.
fn end(address: &str) -> String {
    let address: SocketAddr = address.parse().unwrap();
    let octets = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let words = octets
        .chunks(4)
        .map(|word| format!("{:08X}", u32::from_ne_bytes(word.try_into().unwrap())));
    let words = words.collect::<Vec<_>>().concat();
    format!("{words}:{:04X}", address.port())
}

/// A table like `/proc/net/tcp`.
fn table(rows: &[(&str, &str, u8)]) -> String {
    let mut text = String::from("  sl  local_address rem_address   st tx_queue rx_queue tr\n");
    for (number, (server, client, state)) in rows.iter().enumerate() {
        let (server, client) = (end(server), end(client));
        text += &format!(
            "{number:4}: {server} {client} {state:02X} 00000000:00000000 00:00000000 00000000 0 0\n"
        );
    }
    text
}

/// A node whose kernel has connections to the floating IP [`HERE`], and others.
fn node() -> Node {
    let node = Node::new(HERE, "");
    let state = node.dir.path("srv/.nsm").join(HERE);
    fs::create_dir_all(state.join("clients")).unwrap();
    // What is read after the question goes on behind it.
    let known = format!(
        "{}end clients=0 unrecorded=0 lost=0 ip={HERE}\n",
        "x".repeat(format!("?{HERE}\n").len())
    );
    node.dir.write("nfsd/floating_ips", &known);
    connected(&node, &["10.77.0.13:871"]);
    node
}

fn host(node: &Node) -> Host {
    Host {
        nfsd: node.dir.path("nfsd"),
        mountinfo: node.dir.path("mountinfo"),
        root: node.dir.path("root"),
        rpcbind_port: node.services.port,
    }
}

/// What is chosen of a list, if it is one.
fn chosen(list: &[u8], server: &str, here: &[&str]) -> Option<Chosen> {
    let here: Vec<IpAddr> = here.iter().map(|ip| ip.parse().unwrap()).collect();
    let mut chosen = Chosen::default();
    chosen
        .add(list, server.parse().unwrap(), &here)
        .then_some(chosen)
}

/// All are by IPv4 to nfsd; one more is to lockd, in the other table.
fn connected(node: &Node, clients: &[&str]) {
    let lockd = format!("[::ffff:{HERE}]:4001");
    let mut rows = vec![
        ("0.0.0.0:2049", "0.0.0.0:0", LISTEN),
        ("10.77.0.1:2049", "10.77.0.14:871", ESTABLISHED),
        // Of this machine with itself.
        ("127.0.0.1:2049", "127.0.0.1:871", ESTABLISHED),
        // The client has ended it.
        ("127.0.0.1:2049", "10.77.0.14:872", CLOSE_WAIT),
        // It has only begun it.
        ("127.0.0.1:2049", "10.77.0.14:873", SYN_RECV),
    ];
    rows.extend(
        clients
            .iter()
            .map(|client| ("127.0.0.1:2049", *client, ESTABLISHED)),
    );
    node.dir.write("root/proc/net/tcp", &table(&rows));
    let rows = [
        (lockd.as_str(), "[::ffff:10.77.0.13]:4000", ESTABLISHED),
        ("[fd00::1]:2049", "[fd00::13]:871", ESTABLISHED),
    ];
    node.dir.write("root/proc/net/tcp6", &table(&rows));
}

fn list(clients: &[&str]) -> String {
    let connection = |client: &str, port: u16| Connection {
        client: client.parse().unwrap(),
        port,
    };
    let to_nfsd = clients.iter().map(|client| connection(client, 2049));
    let to_lockd = connection("10.77.0.13:4000", 4001);
    text(&to_nfsd.chain([to_lockd]).collect::<BTreeSet<_>>())
}

/// The format is what other versions read.
#[test]
fn lists_are_text() {
    assert_eq!(
        list(&["10.77.0.14:900", "[fd00::13]:871"]),
        format!("{HEADER}10.77.0.13:4000 4001\n10.77.0.14:900 2049\n[fd00::13]:871 2049\n")
    );
}

/// Whoever can write to the filesystem can have written anything.
#[test]
fn lists_are_not_believed() {
    let of = |lines: &str| {
        let list = format!("{HEADER}{lines}");
        chosen(
            list.as_bytes(),
            "10.77.0.100",
            &["10.77.0.1", "10.77.0.100"],
        )
        .unwrap()
    };
    let good = |client: &str, port: u16| Connection {
        client: client.parse().unwrap(),
        port,
    };
    let all = [
        good("10.77.0.13:871", 2049),
        good("10.77.0.13:871", 4001),
        good("192.0.2.1:1", 22),
    ];
    assert_eq!(
        of("10.77.0.13:871 2049\n10.77.0.13:871 4001\n10.77.0.13:871 2049\n192.0.2.1:1 22\n"),
        Chosen {
            connections: BTreeSet::from(all),
            garbage: 0,
        }
    );
    for bad in [
        "10.77.0.1:871 2049",
        "10.77.0.100:871 2049",
        "0.0.0.0:871 2049",
        "0.1.2.3:871 2049",
        "127.0.0.2:871 2049",
        "169.254.0.9:871 2049",
        "224.0.0.1:871 2049",
        "240.0.0.1:871 2049",
        "255.255.255.255:871 2049",
        "[fd00::13]:871 2049",
        "[::ffff:10.77.0.13]:871 2049",
        "10.77.0.13:0 2049",
        "10.77.0.13:871 0",
        "10.77.0.13:871 -1",
        "10.77.0.13:871 65536",
        "10.77.0.13:65536 2049",
        "10.77.0.13:871",
        "10.77.0.13 2049",
        "10.77.0.13:871 2049 ",
        "client:871 2049",
        "",
    ] {
        let found = of(&format!("{bad}\n"));
        assert_eq!((found.connections.len(), found.garbage), (0, 1), "{bad}");
    }
    for (client, is_good) in [
        ("[fd00::13]:871", true),
        ("[2001:db8::13]:871", true),
        ("10.77.0.13:871", false),
        ("[fe80::13]:871", false),
        ("[fe80::13%1]:871", false),
        ("[ff02::1]:871", false),
        ("[::1]:871", false),
        ("[::]:871", false),
        ("[::ffff:10.77.0.13]:871", false),
        ("[fd00::1]:871", false),
        ("[fd00::100]:871", false),
    ] {
        let list = format!("{HEADER}{client} 2049\n");
        let found = chosen(list.as_bytes(), "fd00::100", &["fd00::1"]).unwrap();
        assert_eq!(found.connections.len(), usize::from(is_good), "{client}");
    }
    for none in [
        "",
        "10.77.0.13:871 2049\n",
        "nfs-failover-connections 2\n10.77.0.13:871 2049\n",
    ] {
        assert_eq!(chosen(none.as_bytes(), "10.77.0.100", &[]), None);
    }
    assert_eq!(chosen(b"\xff\xfe\n", "10.77.0.100", &[]), None);
}

#[test]
fn lists_have_an_end() {
    let all: BTreeSet<_> = (0..MAX + 100)
        .map(|n| Connection {
            client: format!("10.1.{}.{}:871", n / 250, n % 250).parse().unwrap(),
            port: 2049,
        })
        .collect();
    let text = text(&all);
    assert_eq!(text.lines().count(), MAX + 1);
    let (server, here) = ("10.77.0.100".parse().unwrap(), []);
    let mut chosen = Chosen::default();
    assert!(chosen.add(text.as_bytes(), server, &here));
    assert_eq!((chosen.connections.len(), chosen.garbage), (MAX, 0));
    // Twice the same, and then another one.
    assert!(chosen.add(text.as_bytes(), server, &here));
    let other = format!("{HEADER}10.77.0.13:871 2049\n");
    assert!(chosen.add(other.as_bytes(), server, &here));
    assert_eq!((chosen.connections.len(), chosen.garbage), (MAX, 1));
}

/// A list is read only if nobody else can have written it, as far as owners and modes tell.
#[test]
fn lists_of_others() {
    let node = node();
    node.dir.write(LIST, &list(&["10.77.0.13:871"]));
    let config = Config::parse(&node.dir.read("config")).unwrap();
    let why = || match &read_all(&host(&node), &config.services[0])[1] {
        Ok(None) => "nothing".into(),
        Ok(Some(_)) => String::new(),
        Err(error) => error.to_string(),
    };
    let (file, dir) = (node.dir.path(LIST), node.dir.path("srv/.nsm").join(HERE));
    assert_eq!(why(), "");
    for (path, mode, expected) in [
        (&file, 0o622, "it can be written by others"),
        (&file, 0o600, ""),
        (&dir, 0o777, "its directory can be written by others"),
        (&dir, 0o711, ""),
    ] {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        assert!(why().contains(expected) && why().is_empty() == expected.is_empty());
    }
    fs::hard_link(&file, node.dir.path("srv/other")).unwrap();
    assert!(why().contains("another name"), "{}", why());
    fs::remove_file(&file).unwrap();
    assert_eq!(why(), "nothing");
    fs::write(&file, vec![b'x'; 1 << 20]).unwrap();
    assert!(why().contains("bytes, more than"), "{}", why());
}

/// Of the node before is what is put aside; if that has left nothing, it is of the one before that.
#[test]
fn lists_are_put_aside() {
    let node = node();
    let config = Config::parse(&node.dir.read("config")).unwrap();
    let aside = || {
        put_aside(&host(&node), &config.services[0]).unwrap();
        let read = read_all(&host(&node), &config.services[0]);
        read.map(|list| list.unwrap().map(|list| String::from_utf8(list).unwrap()))
    };
    assert_eq!(aside(), [None, None]);
    for list in ["first", "second"] {
        node.dir.write(LIST, list);
        assert_eq!(aside(), [Some(list.into()), None]);
        assert_eq!(aside(), [Some(list.into()), None]);
    }
}

/// Who is connected when the address goes.
const OTHER: (&str, u8) = ("10.77.0.13:871", ESTABLISHED);

/// A node from which the address goes while these clients are connected. nfsd and lockd end all of that
/// themselves as soon as it has gone.
fn going(clients: &[(&str, u8)]) -> Node {
    let node = node();
    node.was_taken_over(HERE);
    node.dir.write("root/proc/net/tcp6", "");
    let rows: Vec<_> = clients
        .iter()
        .map(|(client, state)| ("127.0.0.1:2049", *client, *state))
        .collect();
    let tcp = node.dir.write("root/proc/net/tcp", &table(&rows));
    node.fake(&["ss", "ip"], &format!("echo >{}", tcp.display()));
    node
}

/// What `release` says of connections.
fn said(ran: &Ran) -> &str {
    let mut lines = ran.out.lines();
    lines
        .find(|line| line.starts_with("connections: "))
        .unwrap_or_default()
}

/// Who believes in a connection is not told before the next node is there: he would connect to this one.
#[test]
fn a_release_leaves_connections_to_the_next_node() {
    for (clients, left) in [
        (&[OTHER, ("10.77.0.15:900", ESTABLISHED)][..], 2),
        // The client has got the answer to its SYN, and its ACK has met no address.
        (&[("10.77.0.13:871", SYN_RECV)], 1),
        (&[("10.77.0.13:871", CLOSE_WAIT)], 0),
        (&[], 0),
    ] {
        let node = going(clients);
        let ran = node.run(&["release", "s1", "--address", "--dry-run"]);
        assert!(said(&ran).ends_with(" would be done"), "{ran:?}");
        let words = ["release", "s1", "--address"];
        let (ran, seen) = node.watched(&format!("srv/.nsm/{HERE}"), &words);
        let mut ended = seen
            .iter()
            .filter(|seen| ["cmd.ip", "cmd.ss"].contains(&&***seen));
        assert_eq!(ended.next().map(|seen| &**seen), Some("cmd.ip"), "{ran:?}");
        let list = fs::read_to_string(node.dir.path(LIST));
        if left == 0 {
            assert!(list.is_err(), "{list:?} {ran:?}");
            assert!(said(&ran).ends_with(" already (there are none)"), "{ran:?}");
            continue;
        }
        let list = list.unwrap_or_else(|error| panic!("{error} {ran:?}"));
        for (client, _) in clients {
            assert!(list.contains(&format!("{client} 2049\n")), "{list} {ran:?}");
        }
        assert!(said(&ran).ends_with(&format!(" done ({left})")), "{ran:?}");
    }
    // Somebody else takes it down.
    let node = going(&[OTHER]);
    let ran = node.run(&["release", "s1", "--dry-run"]);
    assert!(said(&ran).ends_with(" would be done"), "{ran:?}");
    assert!(!node.dir.path(LIST).exists());
    let ran = node.run(&["release", "s1"]);
    assert!(said(&ran).ends_with(" done (1)"), "{ran:?}");
    assert!(node.dir.read(LIST).contains("10.77.0.13:871 2049\n"));
}

/// Of several filesystems behind the address, whichever is there.
#[test]
fn a_list_is_left_where_something_is_mounted() {
    let node = going(&[OTHER]);
    beside(&node, HERE);
    let mounts = node.dir.read("mountinfo");
    let (_, second) = mounts.split_once('\n').unwrap();
    node.dir.write("mountinfo", second);
    let list = LIST.replace("srv/", "srv2/");
    fs::create_dir_all(node.dir.path(&list).parent().unwrap()).unwrap();
    let ran = node.run(&["release", "s1", "s2", "--address"]);
    assert!(said(&ran).ends_with(" done (1)"), "{ran:?}");
    assert!(node.dir.read(&list).contains("10.77.0.13:871"), "{ran:?}");
    // Nowhere, if there is nothing.
    let node = going(&[OTHER]);
    node.dir.write("mountinfo", "");
    let ran = node.run(&["release", "s1", "--address"]);
    let why = "skipped (no filesystem of it is mounted here; clients may take some 15 s longer";
    assert!(said(&ran).contains(why), "{ran:?}");
    assert!(!node.dir.path(LIST).exists());
}

/// A client that cannot be reached may have the directory delegated, and then whoever makes a name there
/// waits until it is expired.
#[test]
fn a_release_waits_with_the_list_for_nfsv4_clients() {
    let there = "- 0x1: { type: deleg, superblock: \"08:01:12\" }\n";
    let elsewhere = "- 0x2: { type: open, superblock: \"08:02:12\" }\n";
    for (states, left) in [
        (there.to_string(), true),
        // Such a one is left alone.
        (format!("{there}{elsewhere}"), false),
    ] {
        let node = going(&[OTHER]);
        let info = "address: \"10.77.0.13:878\"\nname: \"c1@127.0.0.1\"\n";
        node.dir.write("nfsd/clients/3/info", info);
        node.dir.write("nfsd/clients/3/states", &states);
        let client = node.dir.path("nfsd/clients/3");
        node.fake(&["sh"], &format!("rm -r {}", client.display()));
        node.fake(&["umount"], "");
        let words = ["release", "s1", "--address", "--umount", "--force"];
        let (ran, seen) = node.watched(&format!("srv/.nsm/{HERE}"), &words);
        let seen: Vec<_> = seen
            .iter()
            .map(String::as_str)
            .filter(|seen| ["cmd.ip", "cmd.sh", "connections", "cmd.umount"].contains(seen))
            .collect();
        match left {
            true => {
                let order = ["cmd.ip", "cmd.sh", "connections", "cmd.umount"];
                assert_eq!(seen, order, "{ran:?}");
                assert!(said(&ran).ends_with(" done (1)"), "{ran:?}");
            }
            false => {
                assert_eq!(seen, ["cmd.ip", "cmd.umount"], "{ran:?}");
                let why = "client 10.77.0.13:878 (c1@127.0.0.1) may have the place of the list";
                let said = said(&ran);
                assert!(said.contains(" skipped ") && said.contains(why), "{ran:?}");
            }
        }
    }
}

/// The address is up again then, and so are they.
#[test]
fn a_release_that_is_called_off_leaves_none() {
    let node = going(&[OTHER]);
    let etab = node.dir.write("statd/etab", "");
    let breaks = format!("rm -rf {0}; mkdir {0}", etab.display());
    node.fake(&["ip", "exportfs"], &breaks);
    let ran = node.run(&["release", "s1", "--address", "--unexport"]);
    assert!(
        ran.exit == 1 && ran.out.contains("unexport: FAILED"),
        "{ran:?}"
    );
    assert!(said(&ran).ends_with(" not done"), "{ran:?}");
    // This node has ended them, too.
    let again = ran.out.lines().find(|line| line.contains(" up again "));
    assert!(
        again.is_some_and(|line| line.contains(" tickled")),
        "{ran:?}"
    );
    // Who watches the records lists what there is again.
    let lists = [LIST.into(), format!("{LIST}.before")].map(|list| node.dir.read(&list));
    assert!(!lists.concat().contains("10.77.0.15:900"), "{lists:?}");
}
