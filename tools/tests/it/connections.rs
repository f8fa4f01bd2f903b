// SPDX-License-Identifier: GPL-2.0-only

//! The list of connections to a floating IP, and what is believed of one.

use crate::common::{
    Node,
    ELSEWHERE,
    HERE, //
};
use nfs_failoverctl::config::Config;
use nfs_failoverctl::connections::ports::{
    Ports,
    ASK, //
};
use nfs_failoverctl::connections::stored::read;
use nfs_failoverctl::connections::{
    choose,
    text,
    Chosen,
    Connection,
    MAX, //
};
use nfs_failoverctl::host::Host;
use nfs_failoverctl::services::tcp_ports;
use std::collections::BTreeSet;
use std::fs::{
    self,
    Permissions, //
};
use std::io::Read;
use std::net::{
    IpAddr,
    SocketAddr, //
};
use std::os::unix::fs::{
    MetadataExt,
    PermissionsExt, //
};
use std::process::{
    Child,
    Command,
    Stdio, //
};
use std::thread::sleep;
use std::time::{
    Duration,
    Instant, //
};

const HEADER: &str = "nfs-failover-connections 1\n";
const LIST: &str = "srv/.nsm/127.0.0.1/connections";
const ESTABLISHED: u8 = 1;
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
    node.dir
        .write("nfsd/portlist", "udp 2049\ntcp 2049\nrdma 20049\n");
    // What is read after the question goes on behind it.
    let known = format!(
        "{}end clients=0 unrecorded=0 lost=0 ip={HERE}\n",
        "x".repeat(format!("?{HERE}\n").len())
    );
    node.dir.write("nfsd/floating_ips", &known);
    connected(&node, &["10.77.0.13:871"]);
    node
}

/// All are by IPv4 to nfsd; one more is to lockd, in the other table.
fn connected(node: &Node, clients: &[&str]) {
    let lockd = format!("[::ffff:{HERE}]:{}", node.services.port);
    let mut rows = vec![
        ("0.0.0.0:2049", "0.0.0.0:0", LISTEN),
        ("10.77.0.1:2049", "10.77.0.14:871", ESTABLISHED),
        ("127.0.0.1:22", "10.77.0.14:871", ESTABLISHED),
        // lockd is the client.
        ("127.0.0.1:871", "10.77.0.14:2049", ESTABLISHED),
        // The client has ended it.
        ("127.0.0.1:2049", "10.77.0.14:872", 8),
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

fn list(node: &Node, clients: &[&str]) -> String {
    let connection = |client: &str, port: u16| Connection {
        client: client.parse().unwrap(),
        port,
    };
    let to_nfsd = clients.iter().map(|client| connection(client, 2049));
    let to_lockd = connection("10.77.0.13:4000", node.services.port);
    text(&to_nfsd.chain([to_lockd]).collect()).0
}

/// The format is what other versions read.
#[test]
fn lists_are_text() {
    let node = node();
    let lockd = node.services.port;
    assert_eq!(
        list(&node, &["10.77.0.14:900", "[fd00::13]:871"]),
        format!("{HEADER}10.77.0.13:4000 {lockd}\n10.77.0.14:900 2049\n[fd00::13]:871 2049\n")
    );
}

/// Whoever can write to the filesystem can have written anything.
#[test]
fn lists_are_not_believed() {
    let server = "10.77.0.100".parse().unwrap();
    let here = ["10.77.0.1", "10.77.0.100"].map(|ip| ip.parse().unwrap());
    let chosen = |lines: &str| {
        let list = format!("{HEADER}{lines}");
        choose(list.as_bytes(), server, &here, &[2049, 4001]).unwrap()
    };
    let good = |client: &str, port: u16| Connection {
        client: client.parse().unwrap(),
        port,
    };
    assert_eq!(
        chosen("10.77.0.13:871 2049\n10.77.0.13:871 4001\n10.77.0.13:871 2049\n192.0.2.1:1 2049\n"),
        Chosen {
            connections: vec![
                good("10.77.0.13:871", 2049),
                good("10.77.0.13:871", 4001),
                good("192.0.2.1:1", 2049),
            ],
            garbage: 0,
            elsewhere: 0,
        }
    );
    for port in ["22", "111", "65535"] {
        let found = chosen(&format!("10.77.0.13:871 {port}\n"));
        assert_eq!((found.connections.len(), found.elsewhere), (0, 1), "{port}");
    }
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
        let found = chosen(&format!("{bad}\n"));
        assert_eq!((found.connections.len(), found.garbage), (0, 1), "{bad}");
    }
    let v6 = "fd00::100".parse().unwrap();
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
        let here = ["fd00::1".parse().unwrap()];
        let found = choose(list.as_bytes(), v6, &here, &[2049]).unwrap();
        assert_eq!(found.connections.len(), usize::from(is_good), "{client}");
    }
    for none in [
        "",
        "10.77.0.13:871 2049\n",
        "nfs-failover-connections 2\n10.77.0.13:871 2049\n",
    ] {
        assert_eq!(choose(none.as_bytes(), server, &here, &[2049]), None);
    }
    assert_eq!(choose(b"\xff\xfe\n", server, &here, &[2049]), None);
}

#[test]
fn lists_have_an_end() {
    let all: BTreeSet<_> = (0..MAX + 100)
        .map(|n| Connection {
            client: format!("10.1.{}.{}:871", n / 250, n % 250).parse().unwrap(),
            port: 2049,
        })
        .collect();
    let (text, left_out) = text(&all);
    assert_eq!((text.lines().count(), left_out), (MAX + 1, 100));
    let server = "10.77.0.100".parse().unwrap();
    let chosen = choose(text.as_bytes(), server, &[], &[2049]).unwrap();
    assert_eq!((chosen.connections.len(), chosen.garbage), (MAX, 0));
    // Of two lists, those of the first come first.
    let other = format!("{HEADER}10.77.0.13:871 2049\n10.77.0.14:871 2049\n");
    let other = || choose(other.as_bytes(), server, &[], &[2049]).unwrap();
    let (mut both, mut second) = (other(), chosen.clone());
    both.add(chosen.clone());
    assert_eq!(both.connections.len(), MAX);
    assert_eq!(both.connections[..2], other().connections);
    second.add(other());
    assert_eq!(second, chosen);
    // Made longer by somebody.
    let longer = format!("{text}10.77.0.13:871 2049\n10.77.0.14:871 2049\n");
    let chosen = choose(longer.as_bytes(), server, &[], &[2049]).unwrap();
    assert_eq!((chosen.connections.len(), chosen.garbage), (MAX, 2));
}

#[test]
fn release_lists_connections() {
    let node = node();
    node.has_manifest();
    node.fake(&["ip", "ss"], "");
    let run = |more: &[&str]| node.run(&[&["--json", "release", "s1"], more].concat());
    let ran = run(&["--dry-run"]);
    assert_eq!(ran.result("connections"), "would", "{ran:?}");
    assert_eq!(node.dir.read(LIST), "");
    let ran = run(&[]);
    assert_eq!(
        (ran.exit, ran.result("connections").as_str()),
        (0, "done"),
        "{ran:?}"
    );
    assert_eq!(node.dir.read(LIST), list(&node, &["10.77.0.13:871"]));
    let mode = fs::metadata(node.dir.path(LIST)).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let steps: Vec<_> = ran.steps().into_iter().map(|(step, _)| step).collect();
    assert_eq!(steps[2..4], ["connections", "fence"]);
    assert_eq!(run(&[]).result("connections"), "already");
}

/// It costs seconds at worst, and only if nobody ends the connections.
#[test]
fn a_release_goes_on_without_a_list() {
    let node = node();
    node.has_manifest();
    node.fake(&["ip", "ss"], "");
    fs::remove_dir_all(node.dir.path("srv/.nsm").join(HERE)).unwrap();
    let ran = node.run(&["--json", "release", "s1"]);
    assert_eq!(
        (ran.exit, ran.result("connections").as_str()),
        (3, "incomplete"),
        "{ran:?}"
    );
    assert_eq!(ran.result("manifest"), "done", "{ran:?}");
    let ran = node.run(&["--json", "release", "s1", "--address"]);
    assert_eq!(
        (ran.exit, ran.result("connections").as_str()),
        (0, "skipped"),
        "{ran:?}"
    );
}

/// As a disk that has gone: whoever opens anything in a directory waits.
const HANGS: &str = "
import ctypes, sys, time
libc = ctypes.CDLL(None, use_errno=True)
FAN_CLASS_CONTENT, FAN_MARK_ADD, FAN_OPEN_PERM, FAN_EVENT_ON_CHILD = 4, 1, 0x10000, 0x8000000
fd = libc.fanotify_init(FAN_CLASS_CONTENT, 0)
events = ctypes.c_uint64(FAN_OPEN_PERM | FAN_EVENT_ON_CHILD)
if libc.fanotify_mark(fd, FAN_MARK_ADD, events, -100, sys.argv[1].encode()):
    sys.exit(f'fanotify: {ctypes.get_errno()}')
print('hangs', flush=True)
time.sleep(600)";

/// It was well when it was looked at. Then nobody waits for it for ever, and no locks are dropped whose
/// list could not be written.
#[test]
fn a_disk_that_has_gone_is_no_reason_to_drop_locks() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED: needs root");
        return;
    }
    let node = node();
    node.has_manifest();
    node.fake(&["ip", "ss"], "");
    node.dir.write(LIST, "of another time");
    let mut command = Command::new("python3");
    command
        .args(["-c", HANGS])
        .arg(node.dir.path("srv/.nsm").join(HERE));
    let child = command.stdout(Stdio::piped()).spawn();
    let mut hangs = Watch(child.unwrap());
    let mut said = [0; 6];
    hangs
        .0
        .stdout
        .take()
        .unwrap()
        .read_exact(&mut said)
        .unwrap();
    let before = node.dir.read("nfsd/nlm_unlock");
    let begun = Instant::now();
    for more in [&[][..], &["--address"]] {
        let ran = node.run(&[&["release", "s1"], more].concat());
        assert!(begun.elapsed() < Duration::from_secs(60), "{ran:?}");
        assert!(
            ran.exit == 1
                && ran.out.contains("connections: FAILED")
                && ran.out.contains("does not answer within"),
            "{ran:?}"
        );
        assert!(ran.out.ends_with("; nothing has changed\n"), "{ran:?}");
        assert_eq!(node.dir.read("nfsd/nlm_unlock"), before);
    }
    drop(hangs);
    assert_eq!(node.dir.read(LIST), "of another time");
    let ran = node.run(&["--json", "release", "s1"]);
    assert_eq!(ran.result("connections"), "done", "{ran:?}");
}

/// What the node before has listed is put aside before the address comes: until clients are told, this
/// node may have listed its own.
#[test]
fn a_takeover_puts_the_list_aside() {
    let node = Node::new(ELSEWHERE, "");
    let status = "unit fsid=1234 phase=recovering left=40 reclaimed=0 refused=0 waits=0\n";
    node.dir.write("nfsd/failover_status", status);
    node.fake(&["ip", "exportfs"], "");
    let [list, before] =
        ["connections", "connections.before"].map(|name| format!("srv/.nsm/{ELSEWHERE}/{name}"));
    let dir = node.dir.path("srv/.nsm").join(ELSEWHERE);
    fs::create_dir_all(dir.join("clients")).unwrap();
    let take = || {
        let ran = node.run(&["--json", "takeover", "s1", "--expect-none"]);
        assert_eq!(ran.result("floating_ips"), "done", "{ran:?}");
        (ran, node.dir.read(&before), node.dir.path(&list).exists())
    };
    node.dir.write(&list, "of the node before");
    assert_eq!(take().1, "of the node before");
    // Repeated, or after a node that has listed nothing.
    let (_, read, is_there) = take();
    assert_eq!((read.as_str(), is_there), ("of the node before", false));
    node.dir.write(&list, "of another one");
    let (_, read, is_there) = take();
    assert_eq!((read.as_str(), is_there), ("of another one", false));
}

/// Once it serves, the list is its own.
#[test]
fn a_repeated_takeover_leaves_its_own_list() {
    let node = node();
    let before = format!("{LIST}.before");
    node.dir.write(&before, "of the node before");
    node.dir.write(LIST, "of this node");
    let status = "unit fsid=1234 phase=recovering left=40 reclaimed=0 refused=0 waits=0\n";
    node.dir.write("nfsd/failover_status", status);
    node.dir.write("nfsd/floating_ips", &format!("ip={HERE}\n"));
    let ran = node.run(&["--json", "takeover", "s1", "--expect-none"]);
    assert_eq!(ran.result("floating_ips"), "done", "{ran:?}");
    assert_eq!(node.dir.read(&before), "of the node before");
    assert_eq!(node.dir.read(LIST), "of this node");
}

/// A list is read only if nobody else can have written it, as far as owners and modes tell.
#[test]
fn lists_of_others() {
    let node = node();
    node.dir.write(LIST, &list(&node, &["10.77.0.13:871"]));
    let config = Config::parse(&node.dir.read("config")).unwrap();
    let host = Host {
        nfsd: node.dir.path("nfsd"),
        mountinfo: node.dir.path("mountinfo"),
        root: node.dir.path("root"),
        rpcbind_port: node.services.port,
    };
    let why = || match read(&host, &config.services[0]) {
        Ok(found) => found.map_or("nothing".into(), |_| String::new()),
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

/// lockd is there, or NFSv3 is not served at all.
#[test]
fn a_port_that_is_not_registered_is_not_known() {
    let node = node();
    let host = Host {
        nfsd: node.dir.path("nfsd"),
        mountinfo: node.dir.path("mountinfo"),
        root: node.dir.path("root"),
        rpcbind_port: node.services.port,
    };
    let rpc = node.services.port;
    assert_eq!(tcp_ports(&host), (vec![2049, rpc], vec![]));
    node.services.gone(100_005);
    assert_eq!(tcp_ports(&host), (vec![2049, rpc], vec![]));
    node.services.gone(100_021);
    let (ports, unknown) = tcp_ports(&host);
    assert_eq!(ports, [2049]);
    assert!(unknown[0].contains("port of lockd") && unknown.len() == 1);
}

/// While a port is not known it is what it was.
#[test]
fn ports_are_kept_while_they_are_not_known() {
    let mut ports = Ports::default();
    let begin = Instant::now();
    let unknown = || vec!["lockd".to_string()];
    // Nobody has known it yet.
    assert_eq!(
        ports.at(begin, || (vec![2049], unknown())),
        (vec![2049], unknown())
    );
    let all = (vec![2049, 4001], vec![]);
    assert_eq!(ports.at(begin, || all.clone()), all);
    let asks_no_more = || -> (Vec<u16>, Vec<String>) { panic!("it was asked too soon") };
    assert_eq!(ports.at(begin + ASK / 2, asks_no_more), all);
    let later = begin + ASK;
    for _ in 0..2 {
        assert_eq!(
            ports.at(later, || (vec![2049], unknown())),
            (vec![2049, 4001], unknown())
        );
    }
    let new = (vec![2049, 4002], vec![]);
    assert_eq!(ports.at(later, || new.clone()), new);
}

struct Watch(Child);

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        sleep(Duration::from_millis(100));
    }
}

/// Several filesystems may be served by one address, of which some are elsewhere.
#[test]
fn each_service_has_a_list() {
    let node = node();
    let config = node.dir.read("config");
    let mut mounts = node.dir.read("mountinfo");
    let srv = node.dir.path("srv").display().to_string();
    let mut services = String::new();
    for (name, fsid) in [("s2", 2), ("s3", 3)] {
        services += &format!(
            "[[service]]\nname = \"{name}\"\npath = \"{srv}-{name}\"\nfsid = \"{fsid}\"\nip = \"{HERE}\"\n"
        );
        let state = format!("{srv}-{name}/.nsm/{HERE}/clients");
        fs::create_dir_all(state).unwrap();
    }
    // The last one is elsewhere.
    let second = mounts.replace(&format!("{srv} "), &format!("{srv}-s2 "));
    mounts += &second;
    node.dir.write("mountinfo", &mounts);
    node.dir.write("config", &(config + &services));
    let mut command = node.command();
    command.args(["records", "--watch"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let _watch = Watch(child.unwrap());
    let is = |srv: &str| {
        node.dir.read(&format!("{srv}/.nsm/{HERE}/connections")) == list(&node, &["10.77.0.13:871"])
    };
    until("no list", || is("srv") && is("srv-s2"));
    assert_eq!(
        node.dir.read(&format!("srv-s3/.nsm/{HERE}/connections")),
        ""
    );
}

/// It is the next node's then, whether the address is still up or not.
#[test]
fn the_list_of_what_was_released_is_left_alone() {
    let node = node();
    node.dir.write(LIST, "of the time before");
    let released = "unit fsid=1234 phase=released left=9\n";
    node.dir.write("nfsd/failover_status", released);
    let mut command = node.command();
    command.args(["records", "--watch"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let _watch = Watch(child.unwrap());
    sleep(Duration::from_secs(23));
    assert_eq!(node.dir.read(LIST), "of the time before");
    node.dir.write(
        "nfsd/failover_status",
        "totals units=0 hooks=live nmissed=0\n",
    );
    let is = || node.dir.read(LIST) == list(&node, &["10.77.0.13:871"]);
    until("nobody watches", is);
}

/// A takeover may still put it aside; then it is kept as it is.
#[test]
fn the_list_is_left_alone_and_then_kept() {
    let node = node();
    node.dir.write(LIST, "as the node before has left it");
    let before = format!("{LIST}.before");
    node.dir.write(&before, "put aside");
    let began = Instant::now();
    let mut command = node.command();
    command.args(["records", "--watch"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let _watch = Watch(child.unwrap());
    let is = |clients: &[&str]| node.dir.read(LIST) == list(&node, clients);
    until("no list", || is(&["10.77.0.13:871"]));
    assert!(began.elapsed() > Duration::from_secs(14));
    let written = || {
        let metadata = fs::metadata(node.dir.path(LIST)).unwrap();
        (metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
    };
    let first = written();
    sleep(Duration::from_secs(10));
    assert_eq!(written(), first, "it was written although nothing changed");
    let both = ["10.77.0.13:871", "10.77.0.14:900"];
    connected(&node, &both);
    until("a connection is missing", || is(&both));
    fs::remove_file(node.dir.path(LIST)).unwrap();
    until("it is not made again", || is(&both));
    assert_eq!(node.dir.read(&before), "put aside");
}
