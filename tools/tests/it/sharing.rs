// SPDX-License-Identifier: GPL-2.0-only

//! What moves together because it shares an address or a filesystem.

use nfs_failoverctl::config::{
    Config,
    Service, //
};
use nfs_failoverctl::group::{
    self,
    addresses,
    filesystems,
    left_out, //
};

/// Two filesystems by two addresses, one by one of these, and one for itself.
fn config() -> Config {
    let service = |(name, fs, ip): &(&str, u32, u32)| {
        format!(
            "[[service]]\nname = \"{name}\"\npath = \"/srv/{fs}\"\nfsid = \"{fs}\"\nip = \"10.0.0.{ip}\"\n"
        )
    };
    let all = [
        ("s1", 1, 1),
        ("s2", 2, 1),
        ("alone", 4, 4),
        ("s2-0", 2, 2),
        ("s3-0", 3, 2),
    ];
    Config::parse(&all.iter().map(service).collect::<String>()).unwrap()
}

fn names<'a>(services: impl IntoIterator<Item = &'a Service>) -> Vec<&'a str> {
    services.into_iter().map(|s| s.name.as_str()).collect()
}

fn of(config: &Config, all: &[&str]) -> Vec<Service> {
    all.iter()
        .map(|name| config.by_name(name).unwrap().clone())
        .collect()
}

#[test]
fn what_shares_the_address() {
    let config = config();
    let sharing = |name| {
        names(&group::sharing(&config, config.by_name(name).unwrap()))
            .into_iter()
            .map(String::from)
            .collect::<Vec<_>>()
    };
    assert_eq!(sharing("s2"), ["s2", "s1"]);
    assert_eq!(sharing("s2-0"), ["s2-0", "s3-0"]);
    assert_eq!(sharing("alone"), ["alone"]);
    // One that is only on the command line.
    let mut other = config.by_name("s1").unwrap().clone();
    other.name = "10.0.0.1".into();
    other.path = "/srv/9".into();
    assert_eq!(
        names(&group::sharing(&config, &other)),
        ["10.0.0.1", "s1", "s2"]
    );
}

#[test]
fn nobody_is_left_without_an_address() {
    let config = config();
    let left = |all: &[&str]| names(left_out(&config, &of(&config, all))).join(" ");
    assert_eq!(left(&["s1"]), "s2");
    assert_eq!(left(&["s2", "s1"]), "");
    assert_eq!(left(&["s2", "s2-0"]), "s1 s3-0");
    assert_eq!(left(&["alone"]), "");
    // Another path is named for it.
    let mut service = config.by_name("alone").unwrap().clone();
    service.path = "/srv/9".into();
    assert!(left_out(&config, &[service]).is_empty());
}

#[test]
fn all_that_has_to_be_at_one_node() {
    let config = config();
    let whole = |name| {
        let found = group::whole(&config, config.by_name(name).unwrap());
        let found: Vec<_> = found.into_iter().map(|service| service.name).collect();
        found.join(" ")
    };
    assert_eq!(whole("s1"), "s1 s2 s2-0 s3-0");
    assert_eq!(whole("s3-0"), "s3-0 s2-0 s2 s1");
    assert_eq!(whole("alone"), "alone");
    // In any order.
    let apart = |all: &[&str]| group::apart(&of(&config, all)).map(|found| found.name.clone());
    assert_eq!(apart(&["s1", "s2-0", "s2"]), None);
    assert_eq!(apart(&["s1", "s2-0"]).as_deref(), Some("s2-0"));
    assert_eq!(apart(&["s1", "s2", "alone"]).as_deref(), Some("alone"));
    let all = of(&config, &["s1", "s2", "s2-0"]);
    assert_eq!(names(filesystems(&all)), ["s1", "s2"]);
    assert_eq!(addresses(&all).len(), 2);
}
