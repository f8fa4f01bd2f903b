// SPDX-License-Identifier: GPL-2.0-only

//! On which of the filesystems behind an address its clients are to be on record. Who records a client, who
//! removes it again and who looks whether it is there go by the same rule.

use crate::config::{
    Config,
    Service, //
};
use crate::host::Host;
use crate::mark;

/// Those of the services of an address. What is not mounted has nobody's locks yet, and gets the records
/// of the others when it comes. The same goes for what was not taken over yet beside others that were: it
/// may have no place for them.
pub fn places<'a>(host: &Host, services: &[&'a Service]) -> Vec<&'a Service> {
    let is_there = |service: &&&Service| host.is_mounted(&service.path).unwrap_or(true);
    let there: Vec<_> = services.iter().filter(is_there).copied().collect();
    let has_mark = |service: &&&Service| {
        let fsid = service.fsid.filter(|_| there.len() > 1);
        fsid.is_some_and(|fsid| mark::read(host, fsid).is_some())
    };
    let marked: Vec<_> = there.iter().filter(has_mark).copied().collect();
    match (marked.is_empty(), there.is_empty()) {
        (false, _) => marked,
        (true, false) => there,
        (true, true) => services.to_vec(),
    }
}

/// Whether a service is one of them.
pub fn is_place(host: &Host, config: &Config, service: &Service) -> bool {
    let mut services: Vec<_> = config.of_ip(service.ip).collect();
    // It may be one that is only on the command line.
    if !services.iter().any(|known| known.path == service.path) {
        services.push(service);
    }
    let places = places(host, &services);
    places.iter().any(|place| place.path == service.path)
}
