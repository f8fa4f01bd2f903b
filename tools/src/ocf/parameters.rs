// SPDX-License-Identifier: GPL-2.0-only

//! What the cluster manager tells an agent, in environment variables.

use crate::turn;
use std::path::PathBuf;
use std::time::Duration;

/// Each parameter is a variable of that name.
const PREFIX: &str = "OCF_RESKEY_";

/// Variables of the cluster manager itself, and of its tools.
const MANAGER: [&str; 3] = ["CRM_meta_", "crm_feature_set", "trace_"];

/// The longest wait for what is slow.
const SLOW: Duration = Duration::from_secs(60);

/// The parameters of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Name of a service in the configuration file. All services of its filesystem are meant.
    pub service: String,
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// Seconds of a recovery.
    pub grace: Option<u32>,
    /// Seconds to go on telling clients that do not answer.
    pub notify_timeout: u32,
    /// A stop has nfsd forget NFSv4 clients even if they have something on other filesystems, too.
    pub expire_nfs4: bool,
}

/// How an action is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// A look whether the resource runs here although it is not expected to; unless it was seen that
    /// it is one of the looks that are repeated.
    pub probe: bool,
    /// How closely to look.
    pub level: u32,
    /// How long it may take, as far as that was said.
    pub timeout: Option<Duration>,
    /// The cluster manager tells of something that happens to other resources.
    pub of_others: bool,
}

type Variable = (String, String);

impl Parameters {
    /// Reads them. What is not known is an error: whoever wrote it expects something from it.
    pub fn parse(variables: &[Variable]) -> Result<Self, String> {
        let mut parameters = Self {
            service: String::new(),
            config: None,
            grace: None,
            notify_timeout: 900,
            expire_nfs4: false,
        };
        let mut unknown = Vec::new();
        for (variable, value) in variables {
            let Some(name) = variable.strip_prefix(PREFIX) else {
                continue;
            };
            let value = value.trim();
            match name {
                "service" => parameters.service = value.into(),
                "config" => parameters.config = Some(absolute(value)?),
                "grace" => parameters.grace = Some(seconds(name, value)?),
                "notify_timeout" => parameters.notify_timeout = seconds(name, value)?,
                "expire_nfs4" => parameters.expire_nfs4 = boolean(name, value)?,
                _ if MANAGER.iter().any(|known| name.starts_with(known)) => {}
                _ => unknown.push(name),
            }
        }
        if !unknown.is_empty() {
            unknown.sort_unstable();
            return Err(format!(
                "there is no parameter {}: known are service, config, grace, notify_timeout and expire_nfs4",
                unknown.join(" nor ")
            ));
        }
        if parameters.service.is_empty() {
            return Err(
                "the parameter service is not set: name a [[service]] of the configuration file"
                    .into(),
            );
        }
        Ok(parameters)
    }
}

impl Call {
    /// How long it may take, if that was not said as the meta-data have it.
    pub fn patience(&self) -> Duration {
        self.timeout.unwrap_or(Duration::from_secs(60))
    }

    /// How long another move may be waited for: what comes after that takes its time, too.
    pub fn turn(&self) -> Duration {
        let whole = self.timeout.unwrap_or(turn::LIMIT);
        whole.saturating_sub(turn::MOVE).max(whole / 2)
    }

    /// How long a move may wait for what is slow: a disk under load, or lockd when many clients come. All
    /// other moves of the node wait so long, too, and with them filesystems that have lost their address.
    pub fn slowness(&self) -> Duration {
        (self.timeout.unwrap_or(turn::LIMIT) / 2).min(SLOW)
    }

    /// The same for a stop after so long a time: if it fails, the node is fenced, with all that others
    /// wait for.
    pub fn slowness_of_stop(&self, spent: Duration) -> Duration {
        let whole = self.timeout.unwrap_or(turn::LIMIT);
        whole
            .saturating_sub(spent + turn::MOVE)
            .max(self.slowness())
    }

    /// Reads it.
    pub fn parse(variables: &[Variable]) -> Self {
        let value = |name: &str| {
            let found = variables.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.trim())
        };
        let interval: Option<u64> =
            value("OCF_RESKEY_CRM_meta_interval").and_then(|word| word.parse().ok());
        Self {
            probe: interval.unwrap_or(0) == 0,
            level: value("OCF_CHECK_LEVEL")
                .and_then(|word| word.parse().ok())
                .unwrap_or(0),
            timeout: value("OCF_RESKEY_CRM_meta_timeout")
                .and_then(|word| word.parse().ok())
                .map(Duration::from_millis),
            of_others: value("OCF_RESKEY_CRM_meta_notify_type").is_some(),
        }
    }
}

fn absolute(value: &str) -> Result<PathBuf, String> {
    match value.starts_with('/') {
        true => Ok(value.into()),
        false => Err(format!(
            "config is \"{value}\": name a file, beginning with /"
        )),
    }
}

fn seconds(name: &str, value: &str) -> Result<u32, String> {
    match value.parse() {
        Ok(seconds @ 1..=86400) => Ok(seconds),
        _ => Err(format!(
            "{name} is \"{value}\": give seconds, 1 to 86400, without a unit"
        )),
    }
}

fn boolean(name: &str, value: &str) -> Result<bool, String> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err(format!("{name} is \"{value}\": give yes or no")),
    }
}
