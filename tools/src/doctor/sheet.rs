// SPDX-License-Identifier: GPL-2.0-only

//! What has to be alike on all nodes: a sheet that `doctor --json` writes and `--compare` reads.

use super::finding::{
    Finding,
    Sight, //
};
use crate::config::{
    Config,
    OnRecordFailure,
    Service, //
};
use crate::key::Key;
use serde::{
    Deserialize,
    Serialize, //
};
use std::collections::BTreeMap;
use std::time::{
    SystemTime,
    UNIX_EPOCH, //
};

/// What the key signs, so that nodes can see that they have the same.
const TEXT: &[u8] = b"nfs-failoverctl doctor: which key is it?\n";

/// So much of the signature is enough for that.
const SHOWN: usize = 8;

/// As long as a sheet may be on its way.
const FRESH: f64 = 5.0;

/// One node. [`None`] is what could not be seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sheet {
    /// `/proc/sys/kernel/hostname`.
    pub name: Option<String>,
    /// When it was written, in seconds since 1970.
    pub time: f64,
    /// Whether the clock is kept right.
    pub synchronised: Option<bool>,
    /// Version of the command.
    pub command: String,
    /// `uname -r`.
    pub kernel: Option<String>,
    /// The scope of nfsd.
    pub scope: Option<String>,
    /// Seconds of nfsd's lease.
    pub lease: Option<u64>,
    /// Ports, by service and protocol.
    pub ports: BTreeMap<String, u16>,
    /// What becomes of clients that cannot be recorded.
    pub on_record_failure: Option<String>,
    /// By what the key can be told; empty if there is none.
    pub key: Option<String>,
    /// The services, by name.
    pub services: BTreeMap<String, Served>,
}

/// What of a service has to be alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// Where it is mounted.
    pub path: String,
    /// Its fsid.
    pub fsid: Option<String>,
    /// Its address.
    pub ip: String,
    /// Where its records are.
    pub state_dir: String,
    /// Seconds of a recovery.
    pub grace: Option<u32>,
    /// Seconds of a fence.
    pub fence: Option<u32>,
    /// Bits of its network.
    pub prefix: Option<u8>,
    /// To whom it is exported.
    pub exports: Vec<String>,
}

/// What doctor has seen, apart from the configuration.
pub struct Seen<'a> {
    /// `/proc/sys/kernel/hostname`.
    pub name: &'a Sight<String>,
    /// Whether the clock is kept right.
    pub synchronised: &'a Sight<bool>,
    /// `uname -r`.
    pub kernel: &'a Sight<String>,
    /// The scope of nfsd.
    pub scope: &'a Sight<String>,
    /// Seconds of nfsd's lease.
    pub lease: Option<u64>,
    /// Ports, by service and protocol.
    pub ports: &'a BTreeMap<String, Sight<u16>>,
}

impl Sheet {
    /// Fills one in.
    pub fn new(config: &Config, seen: &Seen<'_>) -> Self {
        let seen_ports = seen.ports.iter();
        let ports =
            seen_ports.filter_map(|(name, port)| Some((name.clone(), *port.as_ref().ok()?)));
        Self {
            name: seen.name.clone().ok(),
            time: now(),
            synchronised: seen.synchronised.clone().ok(),
            command: env!("CARGO_PKG_VERSION").into(),
            kernel: seen.kernel.clone().ok(),
            scope: seen.scope.clone().ok(),
            lease: seen.lease,
            ports: ports.filter(|(_, port)| *port != 0).collect(),
            on_record_failure: Some(
                match config.on_record_failure {
                    OnRecordFailure::Grant => "grant",
                    OnRecordFailure::Refuse => "refuse",
                }
                .into(),
            ),
            key: Key::load(&config.key_file).ok().map(fingerprint),
            services: config
                .services
                .iter()
                .map(|service| (service.name.clone(), Served::new(service)))
                .collect(),
        }
    }
}

/// The time, in seconds since 1970.
pub fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}

fn fingerprint(key: Option<Key>) -> String {
    let Some(key) = key else {
        return String::new();
    };
    let mut text = TEXT.to_vec();
    key.sign(&mut text);
    let (_, signature) = crate::key::split(&text).unwrap_or_default();
    signature
        .iter()
        .take(SHOWN)
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

impl Served {
    fn new(service: &Service) -> Self {
        Self {
            path: service.path.display().to_string(),
            fsid: service.fsid.map(|fsid| fsid.to_string()),
            ip: service.ip.to_string(),
            state_dir: service.state_dir().display().to_string(),
            grace: service.grace,
            fence: service.fence,
            prefix: service.prefix,
            exports: service.exports.clone(),
        }
    }

    /// What differs, and whether locks depend on it.
    fn differs(&self, other: &Self) -> Vec<(&'static str, String, String, bool)> {
        let word = |word: &Option<u32>| word.map_or("the default".into(), |n| n.to_string());
        let fsid = |fsid: &Option<String>| fsid.clone().unwrap_or("none".into());
        let prefix = |prefix: &Option<u8>| prefix.map_or("none".into(), |n| n.to_string());
        let all = [
            ("path", self.path.clone(), other.path.clone(), true),
            ("fsid", fsid(&self.fsid), fsid(&other.fsid), true),
            ("ip", self.ip.clone(), other.ip.clone(), true),
            (
                "state_dir",
                self.state_dir.clone(),
                other.state_dir.clone(),
                true,
            ),
            (
                "exports",
                self.exports.join(" "),
                other.exports.join(" "),
                true,
            ),
            ("prefix", prefix(&self.prefix), prefix(&other.prefix), false),
            ("grace", word(&self.grace), word(&other.grace), false),
            ("fence", word(&self.fence), word(&other.fence), false),
        ];
        all.into_iter()
            .filter(|(_, one, two, _)| one != two)
            .collect()
    }
}

const CHECK: &str = "other node";

/// The sheet in what doctor has printed on the other node, which may be anything.
pub fn read(text: &str) -> Sight<Sheet> {
    let other =
        |why: String| format!("what is to be compared is not what doctor --json prints: {why}");
    let mut value: serde_json::Value =
        serde_json::from_str(text).map_err(|error| other(error.to_string()))?;
    let version = value.get("version").cloned().unwrap_or_default();
    if version.is_null() {
        return Err(other("it has no version".into()));
    }
    if version != super::VERSION {
        return Err(format!(
            "the other node's doctor prints version {version}, and this one knows {}: install the same version on both",
            super::VERSION
        ));
    }
    match value.get_mut("node").map(serde_json::Value::take) {
        None => Err(other("it has no node".into())),
        Some(node) if node.is_null() => Err(
            "the other node's doctor says nothing of that node: it was run with --quick, or its configuration cannot be read".into(),
        ),
        Some(node) => serde_json::from_value(node).map_err(|error| other(error.to_string())),
    }
}

/// Compares this node with the other, whose sheet came at that time by our clock.
pub fn compare(ours: &Sheet, theirs: &Sheet, came: f64) -> Vec<Finding> {
    if let (Some(name), true) = (&ours.name, ours.name == theirs.name) {
        return vec![Finding::error(
            CHECK,
            format!("both sides are of {name}: this node was compared with itself"),
            "what differs on the other node was not seen",
            "run doctor --json on the other node; give nodes names of their own",
        )];
    }
    let mut found = services(ours, theirs);
    found.extend(server(ours, theirs));
    found.push(clock(theirs, came));
    if found
        .iter()
        .all(|finding| finding.verdict <= super::finding::Verdict::Info)
    {
        let name = theirs.name.as_deref().unwrap_or("the other node");
        found.push(Finding::ok(CHECK, format!("{name} is like this one")));
    }
    found
}

fn services(ours: &Sheet, theirs: &Sheet) -> Vec<Finding> {
    const HEAL: &str = "scp /etc/nfs-failover.toml to the other node";
    let mut found = Vec::new();
    for (name, one) in &ours.services {
        let Some(other) = theirs.services.get(name) else {
            let what = "the other node does not have it";
            found.push(Finding::error(CHECK, what, "it cannot be moved there", HEAL).of(name));
            continue;
        };
        for (key, here, there, matters) in one.differs(other) {
            let what = format!("{key} is {here} here and {there} on the other node");
            let finding = if matters {
                let cost =
                    "clients that have used it on one node lose it, or their locks, on the other";
                Finding::error(CHECK, what, cost, HEAL)
            } else {
                let cost = "a move goes otherwise in one direction than in the other";
                Finding::warning(CHECK, what, cost, HEAL)
            };
            found.push(finding.of(name));
        }
    }
    for name in theirs.services.keys() {
        if !ours.services.contains_key(name) {
            let what = "only the other node has it";
            found.push(Finding::error(CHECK, what, "it cannot be moved here", HEAL).of(name));
        }
    }
    found
}

/// A value of both nodes.
struct Value {
    what: &'static str,
    here: Option<String>,
    there: Option<String>,
    matters: bool,
    cost: &'static str,
    heal: &'static str,
}

fn server(ours: &Sheet, theirs: &Sheet) -> Vec<Finding> {
    let ports = |sheet: &Sheet, name: &str| sheet.ports.get(name).map(u16::to_string);
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let mut values = vec![
        Value {
            what: "the scope of nfsd",
            here: ours.scope.clone(),
            there: theirs.scope.clone(),
            matters: true,
            cost: "NFSv4 clients lose all locks in a move",
            heal: "nfs-failoverctl setup --scope NAME, with the same name on all nodes",
        },
        Value {
            what: "the key",
            here: ours.key.clone(),
            there: theirs.key.clone(),
            matters: true,
            cost: "no list of locks is believed: after each move everybody waits as after a crash",
            heal: "scp -p /etc/nfs-failover.key to the other node",
        },
        Value {
            what: "on_record_failure",
            here: ours.on_record_failure.clone(),
            there: theirs.on_record_failure.clone(),
            matters: false,
            cost: "clients that cannot be recorded get locks on one node and none on the other",
            heal: "scp /etc/nfs-failover.toml to the other node",
        },
        Value {
            what: "nfsd's lease",
            here: number(ours.lease),
            there: number(theirs.lease),
            matters: false,
            cost: "NFSv4 clients of one node notice a move later than those of the other",
            heal: "write the same lease-time into the section [nfsd] of nfs.conf",
        },
        Value {
            what: "the version of nfs-failoverctl",
            here: Some(ours.command.clone()),
            there: Some(theirs.command.clone()),
            matters: false,
            cost: "one may not know what the other has left for it",
            heal: "apt upgrade on both",
        },
    ];
    for (what, name) in [
        ("the port of lockd (tcp)", "lockd/tcp"),
        ("the port of lockd (udp)", "lockd/udp"),
        ("the port of rpc.statd", "statd/tcp"),
        ("the port of rpc.mountd", "mountd/tcp"),
    ] {
        values.push(Value {
            what,
            here: ports(ours, name),
            there: ports(theirs, name),
            matters: false,
            cost: "clients that look for it at its old port wait for a minute or more after a move",
            heal: "nfs-failoverctl setup, with the same ports on all nodes",
        });
    }
    values.into_iter().filter_map(differs).collect()
}

fn differs(value: Value) -> Option<Finding> {
    let what = value.what;
    match (&value.here, &value.there) {
        (Some(here), Some(there)) if here == there => None,
        (Some(here), Some(there)) => {
            let word = |word: &String| match word.is_empty() {
                true => "missing".into(),
                false => format!("\"{word}\""),
            };
            let what = format!(
                "{what} is {} here and {} on the other node",
                word(here),
                word(there)
            );
            Some(match value.matters {
                true => Finding::error(CHECK, what, value.cost, value.heal),
                false => Finding::warning(CHECK, what, value.cost, value.heal),
            })
        }
        (here, _) => {
            let node = if here.is_none() { "this" } else { "the other" };
            let what = format!("{what} could not be seen on {node} node");
            Some(Finding::unknown(
                CHECK,
                what,
                value.cost,
                "nfs-failoverctl doctor, there",
            ))
        }
    }
}

/// The other sheet was written before it came. If it is from the future all the same, the clocks differ
/// by that.
fn clock(theirs: &Sheet, came: f64) -> Finding {
    const COST: &str = "a list of locks from a node whose clock is 5 s ahead is refused: after a move everybody waits as after a crash";
    const HEAL: &str =
        "ssh OTHER nfs-failoverctl doctor --json | nfs-failoverctl doctor --compare -";
    let later = came - theirs.time;
    match later {
        // A comparison with what is no number.
        later if later.is_nan() => Finding::unknown(CHECK, "its time is missing", COST, HEAL),
        later if later < -1.0 => Finding::error(
            CHECK,
            format!("its clock is {:.1} s ahead of this one's", -later),
            COST,
            "set the clocks of both, by NTP",
        ),
        later if later > FRESH => Finding::unknown(
            CHECK,
            format!("what it says is {later:.0} s old, or its clock is behind: the clocks were not compared"),
            COST,
            HEAL,
        ),
        _ => Finding::ok(CHECK, "its clock differs by less than 5 s"),
    }
}
