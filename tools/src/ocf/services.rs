// SPDX-License-Identifier: GPL-2.0-only

//! The services that a resource is: all that has to be at one node, as it shares a filesystem or an
//! address.

use super::{
    Answer,
    Code, //
};
use crate::config::{
    Config,
    Service, //
};
use crate::group;
use std::path::Path;

/// Reads the configuration file of this node. One that is missing or wrong is a matter of this node
/// only: the cluster must not end the resource on others for it.
pub fn load(file: &Path) -> Result<Config, Answer> {
    if let Err(error) = std::fs::metadata(file) {
        let code = match error.kind() {
            std::io::ErrorKind::NotFound => Code::Installed,
            _ => Code::Arguments,
        };
        return Err(Answer::new(
            code,
            format!("cannot read {} on this node: {error}", file.display()),
        ));
    }
    let config = Config::load(Some(file))
        .map_err(|error| Answer::new(Code::Arguments, error.to_string()))?;
    match config.services.is_empty() {
        true => Err(Answer::new(
            Code::Arguments,
            format!(
                "{} on this node has no [[service]]: write the filesystem and its floating IP into it",
                file.display()
            ),
        )),
        false => Ok(config),
    }
}

/// The services that move with the one of that name, which is the first.
pub fn of(config: &Config, name: &str) -> Result<Vec<Service>, Answer> {
    let wrong = |why: String| Answer::new(Code::Arguments, why);
    let named = config
        .by_name(name)
        .map_err(|error| wrong(error.to_string()))?;
    let found = group::whole(config, named);
    for (at, service) in found.iter().enumerate() {
        config
            .is_unique(&service.name)
            .map_err(|error| wrong(error.to_string()))?;
        if !service.path.is_absolute() {
            return Err(wrong(format!(
                "path {} of {} is relative: begin with /",
                service.path.display(),
                service.name
            )));
        }
        if service.fsid.is_none() {
            return Err(wrong(format!(
                "{} has no fsid, by which locks are released: give it the one of the export",
                service.name
            )));
        }
        for other in &found[..at] {
            if group::is_same(service, other) {
                return Err(wrong(format!(
                    "{} and {} have the same path and the same ip: remove one",
                    other.name, service.name
                )));
            }
            if service.path == other.path && service.fsid != other.fsid {
                return Err(wrong(format!(
                    "{} and {} have the same path, but another fsid",
                    other.name, service.name
                )));
            }
            if service.path != other.path && service.fsid == other.fsid {
                return Err(wrong(format!(
                    "{} and {} have the same fsid, but another path",
                    other.name, service.name
                )));
            }
        }
    }
    match group::one_state_dir(&found) {
        None => Ok(found),
        Some(why) => Err(wrong(why)),
    }
}
