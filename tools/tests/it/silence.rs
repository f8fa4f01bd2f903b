// SPDX-License-Identifier: GPL-2.0-only

//! Clients that cannot answer as they are asked first, and those who do not want them to.

use crate::network::{
    json,
    Network,
    IP,
    IP6, //
};
use std::collections::BTreeSet;
use std::iter::once;

/// Whom it told under both names, if the responders are as said; and after how many seconds.
fn told(ip: &str, client: &str, responders: &str, options: &str) -> Option<f64> {
    let network = Network::new(ip, once(client.to_string()));
    let script = format!(
        "echo '{ip} s1.example.net' >hosts
        mount --bind hosts /etc/hosts
        responders {responders} {client}
        $CTL --json notify --force --ip {ip} --timeout 20 {options}"
    );
    let ran = network.run(&script)?;
    assert_eq!(ran.exit, 0, "{responders}: {ran:?}");
    let report = json(&ran);
    let state = report["state"].to_string();
    let line = |name: &str| [client.to_string(), ip.into(), name.into(), state.clone()];
    assert_eq!(network.log(), [line(ip), line("s1.example.net")]);
    report["clients"][0]["seconds"].as_f64()
}

#[test]
fn clients_without_udp_are_told_over_tcp() {
    for (ip, client) in [(IP, "10.99.0.1"), (IP6, "fd00:99::1")] {
        for (udp, most) in [("silent", 4.0), ("rpcbind", 4.0), ("unregistered", 1.0)] {
            let Some(seconds) = told(ip, client, &format!("--tcp --udp {udp}"), "") else {
                return;
            };
            eprintln!("{client}, {udp}: {seconds:.2} s");
            assert!(seconds < most, "{client}, {udp}: {seconds}");
        }
    }
}

/// Three connections to two ports of one client, all from the same port.
#[test]
fn a_port_that_is_given_is_kept_over_tcp() {
    told(IP, "10.99.0.1", "--tcp --udp silent", "--port 700");
}

#[test]
fn another_port_is_used_after_silence() {
    for (swallowed, most) in [(1, 2.0), (2, 6.0)] {
        let options = format!("--swallow {swallowed}");
        let Some(seconds) = told(IP, "10.99.0.1", &options, "") else {
            return;
        };
        eprintln!("{swallowed} ports are swallowed: {seconds:.2} s");
        assert!(seconds < most, "{swallowed}: {seconds}");
    }
}

/// More dead ones than there are connections at a time.
#[test]
fn clients_without_udp_are_told_while_most_are_dead() {
    let living = (1..=20).map(|n| format!("10.99.0.{n}"));
    let dead = (0..600).map(|n| format!("10.98.{}.{}", n / 200, n % 200 + 1));
    // In order of their names, most of the dead come first.
    let network = Network::new(IP, living.chain(dead));
    network.recovers();
    // It ends with the recovery.
    let script = format!(
        "responders --tcp --udp silent --range 10.99.0.1 20
        $CTL --json notify --ip {IP} --timeout 600 2>said &
        for i in $(seq 600); do
            ! grep -q '20 of 620 answered, 600 to go' said || break
            sleep 0.1
        done
        echo totals >nfsd/failover_status
        wait $! || echo $? >exit"
    );
    let Some(ran) = network.run(&script) else {
        return;
    };
    let report = json(&ran);
    let clients = report["clients"].as_array().unwrap();
    let seconds: Vec<_> = clients
        .iter()
        .filter_map(|client| client["seconds"].as_f64())
        .collect();
    let slowest = seconds.iter().copied().fold(0.0, f64::max);
    eprintln!("all {} told within {slowest:.2} s", seconds.len());
    assert_eq!((clients.len(), seconds.len()), (620, 20));
    assert!(slowest < 15.0, "{slowest}");
    // Each once, though it was asked by UDP as well.
    assert_eq!(network.log().len(), 20);
    let dead = clients.iter().find(|client| client["answered"] == false);
    assert_eq!(dead.unwrap()["reason"], "rpcbind does not answer");
}

#[test]
fn a_flood_neither_keeps_it_nor_hides_answers() {
    let clients = ["10.98.0.1", "10.99.0.1"];
    let network = Network::new(IP, clients.iter().map(|client| client.to_string()));
    let script = format!(
        "responders 10.99.0.1
        setsid python3 \"${{RESPONDERS%/*}}/flood.py\" {IP} 25 >flooding &
        FLOOD=$!
        # The living one is asked while there is a flood.
        kill -STOP $RESPONDERS_PID
        (until [ -s flooding ]; do sleep 0.05; done; sleep 1; kill -CONT $RESPONDERS_PID) &
        $CTL --json --quiet notify --force --ip {IP} --timeout 6 || echo $? >exit
        kill -- -$FLOOD && echo still >still"
    );
    let Some(ran) = network.run(&script) else {
        return;
    };
    let report = json(&ran);
    let (seconds, told) = (report["seconds"].as_f64().unwrap(), &report["clients"]);
    eprintln!("{seconds:.1} s, {told}");
    assert_eq!(network.node.dir.read("still"), "still\n");
    assert!((6.0..12.0).contains(&seconds), "{seconds}");
    assert_eq!(told[0]["answered"], false);
    assert_eq!(told[1]["answered"], true);
}

/// Names are looked up there, and in the file `hosts`.
fn name_server(address: &str) -> String {
    format!(
        "echo 'nameserver {address}' >resolv
        echo 'hosts: files dns' >nsswitch
        : >hosts
        for file in resolv.conf nsswitch.conf hosts; do
            [ -e /etc/$file ] || : >/etc/$file
            mount --bind ${{file%.conf}} /etc/$file
        done"
    )
}

/// Nobody listens at the address of the name server, which is said at once.
#[test]
fn names_are_looked_up_until_they_are_known() {
    let network = Network::new(IP, once("client9.example.net".to_string()));
    let script = format!(
        "{}
        responders 10.99.0.1
        (sleep 2; echo '10.99.0.1 client9.example.net' >>hosts) &
        $CTL --json --quiet notify --force --ip {IP} --timeout 20",
        name_server("127.0.0.1")
    );
    let Some(ran) = network.run(&script) else {
        return;
    };
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert_eq!(network.log().len(), 1);
}

#[test]
fn names_that_nobody_knows_hold_nobody() {
    let clients = ["10.99.0.1", "client9.example.net"];
    let network = Network::new(IP, clients.iter().map(|client| client.to_string()));
    let script = format!(
        "{}
        responders 10.99.0.1
        $CTL --json --quiet notify --force --ip {IP} --timeout 5 || echo $? >exit",
        name_server("10.98.0.53")
    );
    let Some(ran) = network.run(&script) else {
        return;
    };
    let report = json(&ran);
    assert_eq!(network.node.dir.read("exit"), "3\n");
    assert!(report["seconds"].as_f64().unwrap() < 7.0, "{report}");
    let clients = &report["clients"];
    assert_eq!(clients[0]["answered"], true, "{report}");
    assert!(clients[0]["seconds"].as_f64().unwrap() < 1.0, "{report}");
    assert_eq!(clients[1]["reason"], "its name is still being looked up");
    let sources: BTreeSet<_> = network
        .log()
        .into_iter()
        .map(|line| line[1].clone())
        .collect();
    assert_eq!(sources, BTreeSet::from([IP.to_string()]));
}
