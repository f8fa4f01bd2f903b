// SPDX-License-Identifier: GPL-2.0-only

//! What a service has in the configuration for `--export` and `--address`.

use crate::config::Service;
use crate::error::{
    Error,
    Result, //
};

/// Where a floating IP goes.
pub fn interface(service: &Service) -> Result<(&str, u8)> {
    match (&service.interface, service.prefix) {
        (Some(interface), Some(prefix)) => Ok((interface, prefix)),
        _ => Err(Error::new(
            "--address needs interface and prefix of the service in the configuration",
        )),
    }
}

/// The exports of a service: client and options.
pub fn exports(service: &Service) -> Result<Vec<(&str, &str)>> {
    if service.exports.is_empty() {
        return Err(Error::new(
            "there are no exports of the service in the configuration",
        ));
    }
    let all = service.exports.iter().map(|export| {
        split_export(export)
            .ok_or_else(|| Error::new(format!("export \"{export}\" is not CLIENT:OPTIONS")))
    });
    all.collect()
}

/// Splits `CLIENT:OPTIONS`. The colons of an IPv6 address are in brackets.
pub fn split_export(export: &str) -> Option<(&str, &str)> {
    let search_from = if export.starts_with('[') {
        export.find(']')?
    } else {
        0
    };
    let colon = search_from + export[search_from..].find(':')?;
    let (client, options) = (&export[..colon], &export[colon + 1..]);
    let odd = |letter: char| letter.is_whitespace();
    (!client.is_empty() && !export.contains(odd)).then_some((client, options))
}
