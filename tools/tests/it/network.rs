// SPDX-License-Identifier: GPL-2.0-only

//! In a network namespace, with clients that answer and clients that do not.

use crate::common::{
    as_root,
    Node,
    Ran,
    HERE, //
};
use serde_json::Value;
use std::fs;
use std::iter::once;

pub const IP: &str = "10.77.0.101";
pub const IP6: &str = "fd00:77::101";

const NETWORK: &str = "
    ip link set lo up
    ip addr add 10.77.0.101/32 dev lo
    ip addr add fd00:77::101/128 dev lo nodad
    ip route add local 10.99.0.0/24 dev lo
    ip addr add fd00:99::1/128 dev lo nodad
    # A network without anybody, in what this kernel has for that.
    ip link add dead type dummy 2>/dev/null || ip tuntap add dead mode tun
    ip link set dead up
    ip route add 10.98.0.0/16 dev dead
    responders() {
        python3 \"$RESPONDERS\" --log log \"$@\" >ready &
        RESPONDERS_PID=$!
        trap 'kill $RESPONDERS_PID' EXIT
        for i in $(seq 100); do [ ! -s ready ] || return 0; sleep 0.1; done
        exit 99
    }
";

pub struct Network {
    pub node: Node,
    options: String,
}

impl Network {
    pub fn new(ip: &str, clients: impl Iterator<Item = String>) -> Self {
        let node = Node::new(ip, "");
        let dir = node.dir.path(&format!("srv/.nsm/{ip}/clients"));
        fs::create_dir_all(&dir).unwrap();
        for client in clients {
            fs::write(dir.join(client), "").unwrap();
        }
        let options = ["config", "nfsd", "mountinfo", "root"]
            .map(|name| format!("--{name} {}", node.dir.path(name).display()))
            .join(" ");
        Self { node, options }
    }

    /// Has the service recover for long.
    pub fn recovers(&self) {
        self.node.dir.write(
            "nfsd/failover_status",
            "unit fsid=1234 phase=recovering left=900 reclaimed=0 refused=0 waits=0\n",
        );
    }

    pub fn run(&self, script: &str) -> Option<Ran> {
        let script = format!("{NETWORK}\nCTL=\"$CTL {}\"\n{script}", self.options);
        as_root(&["--net"], &script, &self.node.dir.path(""))
    }

    /// Address, source, name and state of each notification, sorted.
    pub fn log(&self) -> Vec<[String; 4]> {
        let log = self.node.dir.read("log");
        let line = |line: &str| {
            let words: Vec<_> = line.split(' ').map(String::from).collect();
            assert!(
                words.last().unwrap().parse::<u16>().unwrap() < 1024,
                "{line}"
            );
            [1, 2, 3, 4].map(|at| words[at].clone())
        };
        let mut lines: Vec<_> = log.lines().map(line).collect();
        lines.sort();
        lines
    }
}

pub fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:?}"))
}

#[test]
fn the_living_are_told_while_most_are_dead() {
    mostly_dead("");
}

/// The kernel looks for each, keeps packets for them, and has room for 1,024 only.
#[test]
fn the_living_are_told_while_most_neighbours_are_dead() {
    mostly_dead(
        "ip link add near type veth peer name far
        ip addr add 10.97.0.1/16 dev near
        ip link set far up
        ip link set near up
        ip route replace 10.98.0.0/16 dev near",
    );
}

fn mostly_dead(network: &str) {
    let more = network;
    let living = (1..=200).map(|n| format!("10.99.0.{n}"));
    let dead = (0..1799).map(|n| format!("10.98.{}.{}", n / 200, n % 200 + 1));
    // Dead like the others, but it counts how often it is asked.
    let counts = once("10.99.0.201".to_string());
    let network = Network::new(IP, living.chain(dead).chain(counts));
    network.recovers();
    // It takes what it takes on a busy machine, and ends with the recovery.
    let script = format!(
        "{more}
        responders --range 10.99.0.1 200
        python3 -c \"
import socket
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(('10.99.0.201', 111))
print('ready', flush=True)
while sock.recv(4096):
    print('asked', flush=True)\" >asked &
        trap \"kill $RESPONDERS_PID $!\" EXIT
        until [ -s asked ]; do sleep 0.1; done
        $CTL --json notify --ip {IP} --timeout 600 2>said &
        all() {{
            [ $(wc -l <asked) -gt 4 ] && grep -q '200 of 2000 answered, 1800 to go' said
        }}
        for i in $(seq 600); do ! all || break; sleep 0.1; done
        echo totals >nfsd/failover_status
        wait $! || echo $? >exit"
    );
    let Some(ran) = network.run(&script) else {
        return;
    };
    let report = json(&ran);
    assert_eq!(network.node.dir.read("exit"), "3\n", "{}", ran.err);
    let clients = report["clients"].as_array().unwrap();
    let answered: Vec<_> = clients
        .iter()
        .filter(|client| client["answered"] == true)
        .collect();
    assert_eq!((clients.len(), answered.len()), (2000, 200));
    let slowest = answered
        .iter()
        .map(|client| client["seconds"].as_f64().unwrap())
        .fold(0.0, f64::max);
    eprintln!("all 200 told within {slowest:.2} s");
    assert!(slowest < 15.0, "{slowest}");
    for dead in ["10.98.0.1", "10.99.0.201"] {
        let dead = clients
            .iter()
            .find(|client| client["client"] == dead)
            .unwrap();
        assert_eq!(dead["reason"], "rpcbind does not answer");
    }
    let asked = network.node.dir.read("asked").lines().count() - 1;
    assert!(asked >= 4, "{asked}");
    let state = network.node.dir.read(&format!("srv/.nsm/{IP}/state"));
    let state = state.trim();
    assert_eq!(report["state"].to_string(), state);
    let log = network.log();
    let mut expected: Vec<_> = (1..=200)
        .map(|n| [format!("10.99.0.{n}"), IP.into(), IP.into(), state.into()])
        .collect();
    expected.sort();
    assert_eq!(log, expected);
    let said = network.node.dir.read("said");
    assert!(
        said.contains("notify: 200 of 2000 answered, 1800 to go"),
        "{said}"
    );
}

#[test]
fn names_are_told_and_looked_up() {
    let clients = ["10.99.0.1", "client2", "nowhere.invalid", "fd00:99::1"];
    let network = Network::new(IP, clients.iter().map(|client| client.to_string()));
    let script = "echo '10.77.0.101 s1.example.net' >hosts
        echo '10.99.0.2 client2' >>hosts
        mount --bind hosts /etc/hosts
        responders 10.99.0.1 10.99.0.2 10.99.0.3
        $CTL --json notify --force --ip 10.77.0.101 --timeout 3";
    let Some(ran) = network.run(script) else {
        return;
    };
    assert_eq!(ran.exit, 3);
    let report = json(&ran);
    let state = report["state"].to_string();
    let expected: Vec<_> = ["10.99.0.1", "10.99.0.2"]
        .iter()
        .flat_map(|client| {
            [IP, "s1.example.net"]
                .map(|name| [client.to_string(), IP.into(), name.into(), state.clone()])
        })
        .collect();
    assert_eq!(network.log(), expected);
    let reason = |at: usize| {
        report["clients"][at]["reason"]
            .as_str()
            .unwrap_or_default()
            .to_string()
    };
    assert!(reason(2).contains("no IPv4 address"), "{report}");
    assert!(reason(3).contains("name"), "{report}");
}

#[test]
fn ipv6_clients_are_told() {
    let network = Network::new(
        IP6,
        ["fd00:99::1".to_string(), "10.99.0.1".into()].into_iter(),
    );
    let script = format!(
        "responders fd00:99::1 10.99.0.1
        $CTL --json notify --force --ip {IP6} --timeout 5"
    );
    let Some(ran) = network.run(&script) else {
        return;
    };
    assert_eq!(ran.exit, 3, "{ran:?}");
    let state = json(&ran)["state"].to_string();
    assert_eq!(
        network.log(),
        [["fd00:99::1".to_string(), IP6.into(), IP6.into(), state]]
    );
}

#[test]
fn a_missing_statd_is_waited_for() {
    let network = Network::new(IP, ["10.99.0.1".to_string()].into_iter());
    let script = "responders --no-statd 10.99.0.1
        $CTL notify --force --ip 10.77.0.101 --timeout 1 >first || echo $? >>exit
        ($CTL notify --force --ip 10.77.0.101 --timeout 20 >second; echo $? >>exit) &
        sleep 1
        kill $RESPONDERS_PID
        rm ready
        responders 10.99.0.1
        wait %2 || wait $!
        for i in $(seq 100); do [ $(wc -l <exit) -lt 2 ] || exit 0; sleep 0.1; done";
    let Some(ran) = network.run(script) else {
        return;
    };
    assert_eq!(network.node.dir.read("exit"), "3\n0\n", "{ran:?}");
    assert!(network
        .node
        .dir
        .read("first")
        .contains("10.99.0.1: statd is not running"));
    // Two notifications, two numbers.
    let state: i32 = network
        .node
        .dir
        .read(&format!("srv/.nsm/{IP}/state"))
        .trim()
        .parse()
        .unwrap();
    assert_eq!(
        network.log(),
        [[
            "10.99.0.1".to_string(),
            IP.into(),
            IP.into(),
            state.to_string()
        ]]
    );
}

#[test]
fn clients_are_told_only_if_they_can_reclaim() {
    let network = Network::new(
        IP,
        ["10.99.0.1".to_string(), "10.98.0.1".into()].into_iter(),
    );
    let recovering = "unit fsid=1234 phase=recovering left=9 reclaimed=0 refused=0 waits=0";
    let script = format!("responders 10.99.0.1
        $CTL notify --ip {IP} 2>refused || echo $? >>exit
        echo 'unit fsid=1234 phase=released left=9' >nfsd/failover_status
        $CTL notify --ip {IP} 2>/dev/null || echo $? >>exit
        [ ! -s log ]
        [ ! -e srv/.nsm/{IP}/state ]
        echo '{recovering}' >nfsd/failover_status
        ip addr del {IP}/32 dev lo
        $CTL notify --ip {IP} 2>not-here || echo $? >>exit
        ip addr add {IP}/32 dev lo
        [ ! -e srv/.nsm/{IP}/state ]
        (sleep 1; flock -n srv/.nsm/{IP} true || echo locked >locked; $CTL notify --ip {IP} 2>second || true; echo totals >nfsd/failover_status) &
        $CTL notify --ip {IP} --timeout 60 >over || echo $? >>exit");
    let Some(ran) = network.run(&script) else {
        return;
    };
    let read = |name: &str| network.node.dir.read(name);
    assert_eq!(read("exit"), "1\n1\n1\n3\n", "{ran:?}");
    assert!(read("refused").contains("does not recover here"));
    assert!(read("not-here").contains("is not an address of this node"));
    assert!(
        read("over").contains("the recovery is over") && read("over").contains("10.98.0.1: "),
        "{}",
        read("over")
    );
    assert!(
        read("second").contains("are being notified already"),
        "{}",
        read("second")
    );
    assert_eq!(
        (network.log().len(), read("locked").as_str()),
        (1, "locked\n")
    );
}

#[test]
fn statd_is_made_to_forget() {
    let network = Network::new(IP, std::iter::empty());
    let line = |client: &str, name: &str| {
        format!(
            "0100007f 000186b5 00000003 00000010 {} {client} {name}\n",
            "ab".repeat(16)
        )
    };
    let dir = &network.node.dir;
    dir.write(
        "statd/sm/c1",
        &(line("10.99.0.1", "nodeA") + &line("10.99.0.1", IP)),
    );
    dir.write("statd/sm/c2", &line("10.99.0.2", IP));
    let script = format!(
        "
        $CTL takeover s1 --no-notify --force >first || [ $? = 3 ]
        grep -h . statd/sm/* >after-first
        printf '%s' '{}' >statd/sm/c2
        responders {HERE}
        : >nfsd/floating_ips
        $CTL takeover s1 --no-notify --force >second || [ $? = 3 ]",
        line("10.99.0.2", IP)
    );
    let Some(ran) = network.run(&script) else {
        return;
    };
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert!(
        dir.read("first")
            .contains("forgets clients of 10.77.0.101 ... done (2, removed from its list"),
        "{}",
        dir.read("first")
    );
    assert_eq!(dir.read("after-first"), line("10.99.0.1", "nodeA"));
    assert!(
        dir.read("second")
            .contains("forgets clients of 10.77.0.101 ... done (1)"),
        "{}",
        dir.read("second")
    );
    assert_eq!(
        network.log(),
        [[
            HERE.to_string(),
            HERE.into(),
            "unmon".into(),
            "10.99.0.2".into()
        ]]
    );
}
