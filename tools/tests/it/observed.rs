// SPDX-License-Identifier: GPL-2.0-only

//! What monitoring sees: JSON by its schema, numbers for Prometheus, alerts, the journal.

use crate::common::{
    Node,
    Ran,
    ELSEWHERE, //
};
use nfs_failoverctl::journal::{
    field,
    Move, //
};
use nfs_failoverctl::status::prometheus::{
    text,
    write,
    Facts, //
};
use serde_json::{
    json,
    Value, //
};
use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;

const UNITS: &str = "\
unit fsid=1234 phase=recovering left=37 reclaimed=10 refused=3 waits=3 manifest=12 outstanding=2
unit path=/srv/a\\040b ip=10.77.0.100 phase=released left=1 reclaimed=0 refused=0 waits=0
gauge depth=3 flag
totals units=2 hooks=live nmissed=4 taken_away=0
";

const CLIENTS: &str = "\
client fsid=1234 completed=no files=12 name=c1@10.77.0.100
client fsid=1234 completed=yes name=77
";

fn folder() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/observability").into()
}

/// What jsonschema says of a value; nothing if it fits.
fn misfits(node: &Node, value: &Value) -> String {
    let file = node.dir.write("status.json", &value.to_string());
    let output = Command::new("python3")
        .arg("-c")
        .arg(
            "import json, sys, jsonschema\n\
             schema, value = (json.load(open(path)) for path in sys.argv[1:])\n\
             jsonschema.Draft202012Validator.check_schema(schema)\n\
             for error in jsonschema.Draft202012Validator(schema).iter_errors(value):\n\
             \x20   print(error.json_path, error.message)",
        )
        .arg(folder() + "/status.schema.json")
        .arg(file)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into()
}

/// A node whose rpc.statd has read what it has to.
fn node() -> Node {
    let node = Node::new(ELSEWHERE, "");
    node.dir.write("root/proc/stat", "btime 4000000000\n");
    node.dir.write(
        "root/proc/77/stat",
        "77 (rpc.statd) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 0 20\n",
    );
    node.dir.write("root/sys/module/nfs_failover/x", "");
    node
}

fn status(node: &Node) -> Value {
    let ran = node.run(&["status", "--json"]);
    serde_json::from_str(&ran.out).expect(&ran.out)
}

#[test]
fn status_is_as_its_schema_says() {
    let node = node();
    assert_eq!(misfits(&node, &status(&node)), "");
    node.dir.write("nfsd/failover_status", UNITS);
    node.dir.write(
        "nfsd/floating_ips",
        "ip=10.77.0.101 confirm=yes clients=4 refused=1 more=1\n",
    );
    node.dir
        .write(&format!("srv/.nsm/{ELSEWHERE}/clients/10.77.0.13"), "");
    node.dir.write("root/proc/sys/kernel/hostname", "a\n");
    node.fake(&["nfsdctl"], "echo scope: x");
    node.run(&["takeover", "s1", "--no-notify", "--expect-none"]);
    assert_eq!(status(&node)["units"][0]["nfs4_missing"], Value::Null);
    node.dir.write("nfsd/nfs4_clients", CLIENTS);
    let mut whole = status(&node);
    assert_eq!(whole["units"][0]["nfs4_missing"], json!(["c1@10.77.0.100"]));
    assert_eq!(whole["reclaims"][0]["files"], 12);
    assert_eq!(whole["reclaims"][1]["name"], "77");
    assert_eq!(misfits(&node, &whole), "");
    assert_eq!(whole["version"], 1);
    assert_eq!(whole["well"], false);
    assert_eq!(
        (&whole["node"]["hostname"], &whole["node"]["scope"]),
        (&json!("a"), &json!("x"))
    );
    assert_eq!(whole["node"]["callout"], true);
    let service = &whole["services"][0];
    assert_eq!(
        (&service["mounted"], &service["address"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(service["on_record"], 1);
    assert_eq!(service["last_move"]["action"], "takeover");
    assert_eq!(service["last_move"]["locks"], 12);
    // Each of these is noticed.
    let breaks: [fn(&mut Value); 9] = [
        |whole| whole["units"][0]["nfs4_missing"] = json!("c1"),
        |whole| whole["reclaims"][0]["completed"] = json!("perhaps"),
        |whole| drop(whole["reclaims"][0].as_object_mut().unwrap().remove("name")),
        |whole| whole["version"] = json!(2),
        |whole| drop(whole.as_object_mut().unwrap().remove("services")),
        |whole| whole["units"][0]["phase"] = json!("asleep"),
        |whole| whole["services"][0]["mounted"] = json!("yes"),
        |whole| whole["services"][0]["more"] = json!(1),
        |whole| whole["services"][0]["last_move"]["seconds"] = json!("1"),
    ];
    for change in breaks {
        let mut whole = whole.clone();
        change(&mut whole);
        assert_ne!(misfits(&node, &whole), "", "{whole}");
    }
    whole["nonsense"] = json!([{ "a": 1 }]);
    assert_eq!(misfits(&node, &whole), "");
}

#[test]
fn numbers_are_written_for_prometheus() {
    let node = node();
    node.dir.write("nfsd/failover_status", UNITS);
    node.dir.write(
        "nfsd/floating_ips",
        "ip=10.77.0.101 confirm=yes clients=4 refused=7\n",
    );
    // Where there is no list, no number says that nobody is missing.
    let ran = node.run(&["status", "--prometheus"]);
    assert!(!ran.out.contains("nfs4_missing"), "{}", ran.out);
    node.dir.write("nfsd/nfs4_clients", CLIENTS);
    let ran = node.run(&["status", "--prometheus"]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    for expected in [
        "nfs_failover_module_loaded 1\n",
        "nfs_failover_up 1\n",
        "nfs_failover_time_seconds ",
        "nfs_failover_hooks_live 1\n",
        "# TYPE nfs_failover_missed_total counter\nnfs_failover_missed_total 4\n",
        "nfs_failover_callout_ok 1\n",
        "nfs_failover_unit_phase{unit=\"fsid=1234\",service=\"s1\",phase=\"recovering\"} 1\n",
        "nfs_failover_unit_refused{unit=\"fsid=1234\",service=\"s1\"} 3\n",
        "nfs_failover_unit_nfs4_clients{unit=\"fsid=1234\",service=\"s1\"} 2\n",
        "nfs_failover_unit_nfs4_missing{unit=\"fsid=1234\",service=\"s1\"} 1\n",
        "nfs_failover_unit_left_seconds{unit=\"path=/srv/a\\\\040b ip=10.77.0.100\",service=\"\"} 1\n",
        "nfs_failover_records_refused_total{ip=\"10.77.0.101\"} 7\n",
        "nfs_failover_grace_seconds{service=\"s1\"} 50\n",
        "nfs_failover_served{service=\"s1\"} 0\n",
    ] {
        assert!(ran.out.contains(expected), "{expected}: {}", ran.out);
    }
    promtool(&["check", "metrics"], &ran.out);
    // Whole, under its name, and nothing else is left there.
    let file = node.dir.path("metrics/x.prom");
    fs::create_dir(file.parent().unwrap()).unwrap();
    let option = format!("--prometheus={}", file.display());
    assert_eq!(node.run(&["status", &option]).exit, 0);
    let but_time = |text: &str| {
        let lines = text.lines().filter(|line| !line.contains("time_seconds "));
        lines.map(String::from).collect::<Vec<_>>()
    };
    assert_eq!(
        but_time(&node.dir.read("metrics/x.prom")),
        but_time(&ran.out)
    );
    assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    assert!(write(Path::new("/nowhere/x.prom"), "").is_err());
    // What cannot be seen is no reason to leave the numbers of before.
    let written = |ran: &Ran, exit: i32, expected: &[&str]| {
        assert_eq!(ran.exit, exit, "{ran:?}");
        let text = node.dir.read("metrics/x.prom");
        for expected in expected {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        promtool(&["check", "metrics"], &text);
        fs::remove_file(&file).unwrap();
    };
    let config = node.dir.read("config");
    node.dir.write("config", "[[service]]\n");
    let ran = node.run(&["status", &option]);
    written(&ran, 1, &["up 0\n", "module_loaded 1\n", "callout_ok 1\n"]);
    node.dir.write("config", &config);
    fs::remove_file(node.dir.path("nfsd/failover_status")).unwrap();
    let ran = node.run(&["status", &option]);
    written(
        &ran,
        1,
        &["up 0\n", "module_loaded 1\n", "served{service=\"s1\"} 0\n"],
    );
    // statd runs what it was told before that has changed.
    node.dir.write("root/proc/stat", "btime 5\n");
    node.dir.write("root/etc/nfs.conf.d/x.conf", "");
    let ran = node.run(&["status", &option]);
    written(&ran, 1, &["callout_ok 0\n"]);
    // That the module is not loaded is to be known most of all.
    fs::remove_dir_all(node.dir.path("root/sys/module")).unwrap();
    let ran = node.run(&["status", &option]);
    written(&ran, 0, &["up 1\n", "module_loaded 0\n"]);
    assert!(!text(&Facts::default()).contains("hooks_live"));
}

fn promtool(arguments: &[&str], input: &str) {
    use std::io::Write;
    let mut child = Command::new("promtool")
        .args(arguments)
        .current_dir(folder())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("promtool of Debian's package of that name");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn alerts_are_raised() {
    promtool(&["check", "rules", "alerts.yml"], "");
    promtool(&["test", "rules", "alerts-test.yml"], "");
}

#[test]
fn alerts_are_about_numbers_that_there_are() {
    let node = Node::new(ELSEWHERE, "");
    node.dir.write("nfsd/failover_status", UNITS);
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/status/prometheus.rs");
    let source = fs::read_to_string(source).unwrap();
    let rules = fs::read_to_string(folder() + "/alerts.yml").unwrap();
    let mut names: Vec<_> = rules
        .split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .filter_map(|word| word.strip_prefix("nfs_failover_"))
        .collect();
    names.sort_unstable();
    names.dedup();
    assert!(names.len() >= 7, "{names:?}");
    for name in names {
        assert!(source.contains(&format!("\"{name}\"")), "{name}");
    }
}

#[test]
fn a_move_leaves_one_line_in_the_journal() {
    let node = Node::new(ELSEWHERE, "");
    let socket = node.dir.path("root/run/systemd/journal/socket");
    fs::create_dir_all(socket.parent().unwrap()).unwrap();
    let journal = UnixDatagram::bind(&socket).unwrap();
    journal.set_nonblocking(true).unwrap();
    let lines = || {
        let mut lines = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(length) = journal.recv(&mut buffer) {
            lines.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        lines
    };
    node.has_manifest();
    node.run(&["release", "s1", "--dry-run"]);
    assert_eq!(lines(), [""; 0]);
    let ran = node.run(&["release", "s1"]);
    let said = lines();
    assert_eq!(said.len(), 1, "{ran:?} {said:?}");
    for expected in [
        "SYSLOG_IDENTIFIER=nfs-failoverctl\n",
        "NFS_FAILOVER_ACTION=release\n",
        "SERVICE=s1\n",
        "FSID=1234\n",
        "LOCKS=2\n",
        "SECONDS=",
        "MESSAGE_ID=",
        "MESSAGE=release of s1 ",
        &format!("IP={ELSEWHERE}\n"),
        &format!("EXIT_CODE={}\n", ran.exit),
    ] {
        assert!(said[0].contains(expected), "{expected}: {}", said[0]);
    }
    node.dir.write("nfsd/lock_manifest", "");
    node.dir.write("nfsd/failover_status", UNITS);
    node.run(&["takeover", "s1", "--no-notify"]);
    let said = lines();
    assert!(
        said.len() == 1 && said[0].contains("NFS_FAILOVER_ACTION=takeover\n"),
        "{said:?}"
    );
    assert!(
        said[0].contains("RECLAIMED=10\n") && said[0].contains("REFUSED=3\n"),
        "{said:?}"
    );
    // It was refused: nothing was done, so nothing is said.
    node.dir.write("nfsd/threads", "0\n");
    node.run(&["takeover", "s1", "--no-notify"]);
    assert_eq!(lines(), [""; 0]);
}

#[test]
fn fields_of_several_lines_have_their_length() {
    let mut text = Vec::new();
    field(&mut text, "A", "b");
    field(&mut text, "C", "d\ne");
    assert_eq!(text, b"A=b\nC\n\x03\0\0\0\0\0\0\0d\ne\n");
    let moved = Move {
        service: "x\nPRIORITY=0".into(),
        ..Move::default()
    };
    let text = String::from_utf8_lossy(&moved.datagram()).into_owned();
    assert!(
        !text.contains("\nPRIORITY=0\n") || text.contains("SERVICE\n"),
        "{text}"
    );
}
