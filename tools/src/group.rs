// SPDX-License-Identifier: GPL-2.0-only

//! What belongs together. A `[[service]]` is one filesystem by one address. An address is at one node
//! at a time, so all filesystems behind it move as one; and a client that is told of its restart
//! reclaims on all of them at once.

use crate::config::{
    Config,
    Service, //
};
use std::net::IpAddr;

/// The services of the address of this one, which comes first, and which the configuration need not
/// have.
pub fn sharing(config: &Config, service: &Service) -> Vec<Service> {
    let others = config
        .of_ip(service.ip)
        .filter(|other| other.path != service.path && other.name != service.name);
    let mut found = vec![service.clone()];
    found.extend(others.cloned());
    found
}

/// The services that have an address of these, and would be left behind without one.
pub fn left_out<'a>(config: &'a Config, moved: &[Service]) -> Vec<&'a Service> {
    let is_moved = |other: &Service| {
        moved
            .iter()
            .any(|service| service.name == other.name || is_same(service, other))
    };
    let loses_address = |other: &Service| moved.iter().any(|service| service.ip == other.ip);
    let services = config.services.iter();
    services
        .filter(|other| loses_address(other) && !is_moved(other))
        .collect()
}

/// Whether it is the same filesystem by the same address.
pub fn is_same(service: &Service, other: &Service) -> bool {
    (service.ip, &service.path) == (other.ip, &other.path)
}

/// Whether two services share an address or a filesystem.
pub fn is_beside(service: &Service, other: &Service) -> bool {
    service.ip == other.ip || service.path == other.path
}

/// All that has to be where this service is: what shares an address or a filesystem with it, or with
/// another of them. It comes first.
pub fn whole(config: &Config, service: &Service) -> Vec<Service> {
    let mut found = vec![service.clone()];
    let mut at = 0;
    while at < found.len() {
        let more: Vec<_> = config
            .services
            .iter()
            .filter(|other| is_beside(other, &found[at]))
            .filter(|other| !found.iter().any(|known| known.name == other.name))
            .cloned()
            .collect();
        found.extend(more);
        at += 1;
    }
    found
}

/// Those with which a filesystem comes first.
pub fn filesystems(services: &[Service]) -> Vec<&Service> {
    let mut found: Vec<&Service> = Vec::new();
    for service in services {
        if !found.iter().any(|known| known.path == service.path) {
            found.push(service);
        }
    }
    found
}

/// Their addresses.
pub fn addresses(services: &[Service]) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for service in services {
        if !found.contains(&service.ip) {
            found.push(service.ip);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

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
            names(&super::sharing(&config, config.by_name(name).unwrap()))
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
            names(&super::sharing(&config, &other)),
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
            let found = super::whole(&config, config.by_name(name).unwrap());
            let found: Vec<_> = found.into_iter().map(|service| service.name).collect();
            found.join(" ")
        };
        assert_eq!(whole("s1"), "s1 s2 s2-0 s3-0");
        assert_eq!(whole("s3-0"), "s3-0 s2-0 s2 s1");
        assert_eq!(whole("alone"), "alone");
        let all = of(&config, &["s1", "s2", "s2-0"]);
        assert_eq!(names(filesystems(&all)), ["s1", "s2"]);
        assert_eq!(addresses(&all).len(), 2);
    }
}
