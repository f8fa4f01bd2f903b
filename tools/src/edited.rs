// SPDX-License-Identifier: GPL-2.0-only

//! What was taken over, compared with what the configuration file says by now.
//!
//! Whoever edits it while something is served does not change by that what clients use: the address and
//! the filesystems of before. The marks of takeovers say which these are.

use crate::config::{
    Config,
    Service, //
};
use crate::error::{
    Error,
    Result, //
};
use crate::exporttable::Table;
use crate::group;
use crate::host::Host;
use crate::interface;
use crate::mark::{
    self,
    Left,
    Mark, //
};
use crate::ocf::facts;
use crate::policy::fsid::Fsid;
use std::net::IpAddr;

/// The addresses by which a filesystem was taken over and that are not among its own any more.
pub fn earlier(mark: &Mark, own: &[IpAddr]) -> Vec<IpAddr> {
    let ips = mark.ips.iter().copied();
    ips.filter(|ip| !own.contains(ip)).collect()
}

/// Those that were taken over by an address of these filesystems, also one of before, and are none of them.
/// `known` are all services of which somebody may know.
pub fn left_behind<'a>(marks: &'a [Left], moved: &[Service], known: &[Service]) -> Vec<&'a Left> {
    let is_of = |left: &Left, service: &Service| service.fsid == Some(left.fsid);
    let mut ips = group::addresses(moved);
    for left in marks {
        if let Some(service) = moved.iter().find(|service| is_of(left, service)) {
            ips.extend(earlier(&left.mark, &own(service, moved, known)));
        }
    }
    let marks = marks.iter().filter(|left| {
        let is_moved = moved.iter().any(|service| is_of(left, service));
        let may_be_of_these = left.damaged.is_some();
        !is_moved && (may_be_of_these || left.mark.ips.iter().any(|ip| ips.contains(ip)))
    });
    marks.collect()
}

/// Whether anything of a filesystem is here, so that clients may use it. What was released by hand, or was
/// not taken over to the end, has left a mark only, and that is no reason to stop for. What cannot be seen
/// may be here.
fn is_here(host: &Host, config: &Config, moved: &[Service], fsid: Fsid) -> bool {
    let is_mounted = |service: &Service| {
        service.fsid == Some(fsid) && host.is_mounted(&service.path).unwrap_or(true)
    };
    has_unit(host, fsid)
        || is_exported(host, config, moved, fsid)
        || moved.iter().chain(&config.services).any(is_mounted)
}

fn has_unit(host: &Host, fsid: Fsid) -> bool {
    match facts::status(host) {
        Err(_) => true,
        Ok(None) => false,
        Ok(Some(status)) => {
            let mut names = status.units().filter_map(|unit| unit.get("fsid"));
            names.any(|name| Fsid::parse(name.as_bytes()).is_none_or(|of| of == fsid))
        }
    }
}

fn is_exported(host: &Host, config: &Config, moved: &[Service], fsid: Fsid) -> bool {
    let Ok(table) = Table::read(host, config) else {
        return true;
    };
    // Without fsid= it is the UUID of the filesystem, if that is not one of these.
    let services = moved.iter().chain(&config.services);
    let others = services.filter(|service| service.fsid.is_some_and(|of| of != fsid));
    let of_others: Vec<_> = others.flat_map(|other| table.of(&other.path)).collect();
    table.exports.iter().any(|export| match export.fsid {
        Some(of) => of == fsid,
        None => matches!(fsid, Fsid::Uuid(_)) && !of_others.contains(&export),
    })
}

/// All addresses of the filesystem of a service.
fn own(service: &Service, moved: &[Service], known: &[Service]) -> Vec<IpAddr> {
    let is_same = |other: &&Service| {
        other.path == service.path || (other.fsid == service.fsid && other.fsid.is_some())
    };
    group::addresses(moved.iter().chain(known).filter(is_same))
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The addresses of before.
    pub ips: Vec<IpAddr>,
    /// Marks of what is not here any more.
    pub stale: Vec<Left>,
}

impl Found {
    /// What there is to say of these.
    pub fn notes(&self) -> impl Iterator<Item = String> + '_ {
        self.stale.iter().map(|left| {
            format!(
                "the filesystem with fsid {} was taken over here, as {} says, and nothing of it is here any more: remove that file",
                left.fsid,
                left.file.display()
            )
        })
    }
}

/// Of each filesystem that moves, the addresses of before, if what is to be stopped or moved is all that
/// was taken over with it and is here, and nobody uses these addresses. Nothing was changed by asking.
pub fn as_it_is_here(host: &Host, config: &Config, moved: &[Service]) -> Result<Found> {
    let marks = mark::all(host)?;
    let mut found = Found {
        ips: Vec::new(),
        stale: stale(host, config, moved, &marks)?,
    };
    for service in group::filesystems(moved) {
        let of = |left: &&Left| Some(left.fsid) == service.fsid;
        let Some(left) = marks.iter().find(of) else {
            continue;
        };
        for ip in earlier(&left.mark, &own(service, moved, &config.services)) {
            if !interface::of(ip)?.is_empty() {
                return Err(Error::new(in_use(service, ip)));
            }
            found.ips.push(ip);
        }
    }
    Ok(found)
}

/// Fails if something that was taken over by an address of these would be left behind.
pub fn nothing_left_behind(host: &Host, config: &Config, moved: &[Service]) -> Result<()> {
    stale(host, config, moved, &mark::all(host)?).map(drop)
}

/// Those that would be left behind if they were here: none is.
fn stale(host: &Host, config: &Config, moved: &[Service], marks: &[Left]) -> Result<Vec<Left>> {
    let mut found = Vec::new();
    for left in left_behind(marks, moved, &config.services) {
        if !is_here(host, config, moved, left.fsid) {
            found.push(left.clone());
            continue;
        }
        if let Some(why) = &left.damaged {
            return Err(Error::new(format!(
                "by which addresses the filesystem with fsid {} was taken over is not known: {} is damaged ({why}), and it may be by those that move. If it is not, remove that file; its next release leaves no list then",
                left.fsid,
                left.file.display()
            )));
        }
        let ips: Vec<_> = left.mark.ips.iter().map(IpAddr::to_string).collect();
        return Err(Error::new(format!(
            "the filesystem with fsid {} was taken over by {}, too, as {} says, and would be left behind: the configuration file does not have it as one of that address any more. Write it into it again, as it was, and repeat this; or, if it was released here without this command, remove that file",
            left.fsid,
            ips.join(" and "),
            left.file.display()
        )));
    }
    Ok(found)
}

/// What there is to say of an address of before that is up.
pub fn in_use(service: &Service, ip: IpAddr) -> String {
    format!(
        "{} was taken over by {ip}, which is up, and is no ip of it in the configuration file any more: change it back, or take {ip} down first: clients use it, and would lose their locks",
        service.path.display()
    )
}
