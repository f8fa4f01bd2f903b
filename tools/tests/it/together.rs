// SPDX-License-Identifier: GPL-2.0-only

//! Several services take their steps together.

use nfs_failoverctl::config::{
    Config,
    Service, //
};
use nfs_failoverctl::error::{
    Error,
    Result, //
};
use nfs_failoverctl::steps::{
    taken,
    Action,
    Outcome,
    Scope,
    Step,
    Taken, //
};
use nfs_failoverctl::together::{
    begin,
    run,
    Moved,
    One,
    Stops, //
};

struct Fake {
    service: Service,
    /// At which step.
    fails: &'static str,
    warned: Vec<String>,
}

impl Moved for Fake {
    fn service(&self) -> &Service {
        &self.service
    }

    fn scope(step: &str) -> Scope {
        match step {
            "fence" => Scope::Filesystem,
            "address" | "tell" => Scope::Address,
            _ => Scope::Service,
        }
    }

    fn before(&mut self, step: &str) {
        self.warned.push(step.into());
    }
}

const PLAN: [(&str, Action<Fake>); 4] = [
    ("look", |fake| take(fake, "look")),
    ("fence", |fake| take(fake, "fence")),
    ("address", |fake| take(fake, "address")),
    ("tell", |fake| take(fake, "tell")),
];

fn take(fake: &Fake, step: &str) -> Result<Taken> {
    match fake.fails == step {
        true => Err(Error::new("no")),
        false => taken(fake.service.name.clone(), Outcome::Done, ""),
    }
}

/// s1 and s2 behind one address; s2 has another one, too.
const PAIR: [(&str, u8, u8); 3] = [("s1", 1, 1), ("s2", 2, 1), ("s2-0", 2, 2)];

/// s1 by two addresses, behind the second of which s2 is, too.
const CHAIN: [(&str, u8, u8); 3] = [("s1", 1, 1), ("s1-0", 1, 2), ("s2", 2, 2)];

/// Name, filesystem and address of each. One of them fails at a step.
fn all(of: [(&str, u8, u8); 3], name_of: &str, step: &'static str) -> Vec<One<Fake>> {
    begin(of.map(|(name, fs, ip)| {
        let text =
            format!("[[service]]\nname = \"{name}\"\npath = \"/srv/{fs}\"\nip = \"10.0.0.{ip}\"\n");
        Fake {
            service: Config::parse(&text).unwrap().services.remove(0),
            fails: if name == name_of { step } else { "" },
            warned: Vec::new(),
        }
    }))
}

fn ran(fails: &str, stops: Stops) -> Vec<String> {
    said(all(PAIR, fails, "fence"), stops)
}

fn said(mut all: Vec<One<Fake>>, stops: Stops) -> Vec<String> {
    let mut said = Vec::new();
    let mut say = |step: &Step| {
        let what = match step.result {
            Outcome::Done => step.what.as_str(),
            Outcome::Failed => "FAILED",
            _ => "-",
        };
        said.push(format!("{} {what}", step.step));
    };
    run(&mut all, &PLAN, stops, &mut say);
    said
}

#[test]
fn a_step_is_taken_on_all_before_the_next_one() {
    assert_eq!(
        ran("", Stops::All),
        [
            "look s1",
            "look s2",
            "look s2-0",
            "fence s1",
            "fence s2",
            "address s1",
            "tell s1",
            "address s2-0",
            "tell s2-0"
        ]
    );
}

#[test]
fn all_hear_of_a_step_before_and_of_each_address() {
    let mut all = all(PAIR, "", "");
    run(&mut all, &PLAN, Stops::All, &mut |_| {});
    for one in all {
        let addresses = ["address", "tell"].repeat(2);
        assert_eq!(one.on.warned, [vec!["look", "fence"], addresses].concat());
    }
}

#[test]
fn an_address_comes_up_only_if_nothing_behind_it_has_failed() {
    let last = |fails, stops| ran(fails, stops).split_off(3).join(", ");
    let whole = Stops::Filesystem("address");
    assert_eq!(
        last("s2", whole),
        "fence s1, fence FAILED, address -, tell -, address s2-0, tell s2-0"
    );
    // Its other address comes with that of the first.
    assert_eq!(
        last("s1", whole),
        "fence FAILED, fence -, address -, tell -, address -, tell -"
    );
    assert_eq!(
        last("s1", Stops::Address),
        "fence FAILED, fence -, address -, tell -, address s2-0, tell s2-0"
    );
    assert_eq!(
        last("s2", Stops::Address),
        "fence s1, fence FAILED, address -, tell -, address s2-0, tell s2-0"
    );
    assert_eq!(
        last("s1", Stops::All),
        "fence FAILED, fence -, address -, tell -, address -, tell -"
    );
    assert_eq!(
        last("s2", Stops::Itself),
        "fence s1, fence FAILED, address s1, tell s1, address s2-0, tell s2-0"
    );
}

#[test]
fn what_was_not_done_behind_an_address_keeps_it_down() {
    let chain = |step| {
        let all = all(CHAIN, "s1", step);
        said(all, Stops::Filesystem("address")).join(", ")
    };
    // That s1 fails by one address stops it by the other one only as s2, which is there, too, stops.
    assert_eq!(
        chain("look"),
        "look FAILED, look s1-0, look -, fence -, fence -, address -, tell -, address -, tell -"
    );
    // What is behind an address alone waits for it.
    assert_eq!(
        chain("address"),
        "look s1, look s1-0, look s2, fence s1, fence s2, address FAILED, tell -, address s1-0, tell s1-0"
    );
}
