// SPDX-License-Identifier: GPL-2.0-only

//! What was taken over, compared with what the configuration file says by now.
//!
//! Whoever edits it while something is served does not change by that what clients use: the address and
//! the filesystems of before. The marks of takeovers say which these are.

use crate::config::Service;
use crate::error::{
    Error,
    Result, //
};
use crate::group;
use crate::host::Host;
use crate::interface;
use crate::mark::{
    self,
    Left,
    Mark, //
};
use std::net::IpAddr;

/// The addresses by which a filesystem was taken over and that are not among its own any more.
pub fn earlier(mark: &Mark, own: &[IpAddr]) -> Vec<IpAddr> {
    let ips = mark.ips.iter().copied();
    ips.filter(|ip| !own.contains(ip)).collect()
}

/// One that was taken over by an address of these filesystems, also one of before, and is none of them.
/// `known` are all services of which somebody may know.
pub fn left_behind<'a>(
    marks: &'a [Left],
    moved: &[Service],
    known: &[Service],
) -> Option<&'a Left> {
    let is_of = |left: &Left, service: &Service| service.fsid == Some(left.fsid);
    let mut ips = group::addresses(moved);
    for left in marks {
        if let Some(service) = moved.iter().find(|service| is_of(left, service)) {
            ips.extend(earlier(&left.mark, &own(service, moved, known)));
        }
    }
    marks.iter().find(|left| {
        let is_moved = moved.iter().any(|service| is_of(left, service));
        !is_moved && left.mark.ips.iter().any(|ip| ips.contains(ip))
    })
}

/// All addresses of the filesystem of a service.
fn own(service: &Service, moved: &[Service], known: &[Service]) -> Vec<IpAddr> {
    let is_same = |other: &&Service| {
        other.path == service.path || (other.fsid == service.fsid && other.fsid.is_some())
    };
    group::addresses(moved.iter().chain(known).filter(is_same))
}

/// Of each filesystem that moves, the addresses of before, if what is to be stopped or moved is all that
/// was taken over with it, and nobody uses these addresses. Nothing was changed by asking.
pub fn as_taken_over(host: &Host, moved: &[Service], known: &[Service]) -> Result<Vec<IpAddr>> {
    let marks = nothing_left_behind(host, moved, known)?;
    let mut found = Vec::new();
    for service in group::filesystems(moved) {
        let of = |left: &&Left| Some(left.fsid) == service.fsid;
        let Some(left) = marks.iter().find(of) else {
            continue;
        };
        for ip in earlier(&left.mark, &own(service, moved, known)) {
            if !interface::of(ip)?.is_empty() {
                return Err(Error::new(in_use(service, ip)));
            }
            found.push(ip);
        }
    }
    Ok(found)
}

/// All marks, if none is of a filesystem that is left behind.
pub fn nothing_left_behind(host: &Host, moved: &[Service], known: &[Service]) -> Result<Vec<Left>> {
    let marks = mark::all(host)?;
    if let Some(left) = left_behind(&marks, moved, known) {
        let ips: Vec<_> = left.mark.ips.iter().map(IpAddr::to_string).collect();
        return Err(Error::new(format!(
            "the filesystem with fsid {} was taken over by {}, too, as {} says, and would be left behind: the configuration file does not have it as one of that address any more. Write it into it again, as it was, and repeat this; or, if it was released here without this command, remove that file",
            left.fsid,
            ips.join(" and "),
            left.file.display()
        )));
    }
    Ok(marks)
}

/// What there is to say of an address of before that is up.
pub fn in_use(service: &Service, ip: IpAddr) -> String {
    format!(
        "{} was taken over by {ip}, which is up, and is no ip of it in the configuration file any more: change it back, or take {ip} down first: clients use it, and would lose their locks",
        service.path.display()
    )
}
