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

/// One of these that has nothing in common with the first, nor with what has.
pub fn apart(services: &[Service]) -> Option<&Service> {
    let together = among(services, services.first()?);
    let mut services = services.iter();
    services.find(|service| !together.iter().any(|known| known.name == service.name))
}

/// All that has to be where this service is: what shares an address or a filesystem with it, or with
/// another of them. It comes first.
pub fn whole(config: &Config, service: &Service) -> Vec<Service> {
    among(&config.services, service)
}

fn among(services: &[Service], service: &Service) -> Vec<Service> {
    let mut found = vec![service.clone()];
    let mut at = 0;
    while at < found.len() {
        let more: Vec<_> = services
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

/// Says if two filesystems keep in one directory what moves along: the list of one would be taken for that
/// of the other, and who tells the clients of both would wait for itself.
pub fn one_state_dir(services: &[Service]) -> Option<String> {
    let mut pairs = services.iter().enumerate().flat_map(|(at, service)| {
        let before = services[..at].iter();
        before.map(move |other| (other, service))
    });
    let (other, service) = pairs.find(|(other, service)| {
        other.path != service.path && other.state_dir() == service.state_dir()
    })?;
    Some(format!(
        "{} and {} have the same state_dir: each filesystem has a list of locks of its own",
        other.name, service.name
    ))
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
pub fn addresses<'a>(services: impl IntoIterator<Item = &'a Service>) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for service in services {
        if !found.contains(&service.ip) {
            found.push(service.ip);
        }
    }
    found
}
