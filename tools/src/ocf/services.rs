// SPDX-License-Identifier: GPL-2.0-only

//! The services that a resource is: all of one filesystem.

use super::{
    Answer,
    Code, //
};
use crate::config::{
    Config,
    Service, //
};
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

/// The services of the filesystem of the one with that name, which is the first.
pub fn of(config: &Config, name: &str) -> Result<Vec<Service>, Answer> {
    let wrong = |why: String| Answer::new(Code::Arguments, why);
    let named = config
        .by_name(name)
        .map_err(|error| wrong(error.to_string()))?;
    let mut found = vec![named.clone()];
    let beside = config.services.iter();
    found.extend(
        beside
            .filter(|other| other.path == named.path && other.name != named.name)
            .cloned(),
    );
    if !named.path.is_absolute() {
        return Err(wrong(format!(
            "path {} of {name} is relative: begin with /",
            named.path.display()
        )));
    }
    for service in &found {
        let other = config
            .services
            .iter()
            .find(|other| other.ip == service.ip && other.name != service.name);
        if service.fsid.is_none() {
            return Err(wrong(format!(
                "{} has no fsid, by which locks are released: give it the one of the export",
                service.name
            )));
        }
        if service.fsid != named.fsid {
            return Err(wrong(format!(
                "{name} and {} have the same path, but another fsid",
                service.name
            )));
        }
        if let Some(other) = other {
            return Err(wrong(format!(
                "{} and {} have the same ip: a floating IP moves with one filesystem only",
                service.name, other.name
            )));
        }
    }
    Ok(found)
}
