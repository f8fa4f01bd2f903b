// SPDX-License-Identifier: GPL-2.0-only

//! The configuration file.

use crate::error::{
    Context,
    Error,
    Result, //
};
use crate::policy::{
    address,
    fsid::Fsid, //
};
use crate::program;
use serde::de::{
    Deserializer,
    Error as _, //
};
use serde::Deserialize;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{
    Path,
    PathBuf, //
};
use std::time::Duration;

/// rpc.statd waits for its callout, which waits for what reads this.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where it is.
pub const DEFAULT_PATH: &str = "/etc/nfs-failover.toml";

/// `/etc/nfs-failover.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What becomes of a lock whose client cannot be recorded.
    #[serde(default)]
    pub on_record_failure: OnRecordFailure,
    /// rpc.statd's own directory.
    #[serde(default = "default_statd_dir")]
    pub statd_dir: PathBuf,
    /// The secret of the nodes.
    #[serde(default = "default_key_file")]
    pub key_file: PathBuf,
    /// What can move.
    #[serde(default, rename = "service")]
    pub services: Vec<Service>,
}

/// What becomes of a lock whose client cannot be recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnRecordFailure {
    /// It is granted, and lost if the node crashes.
    #[default]
    Grant,
    /// The kernel refuses it until the record is there.
    Refuse,
}

/// A filesystem as it is served through one floating IP.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// How the administrator calls it.
    pub name: String,
    /// Where it is mounted.
    pub path: PathBuf,
    /// As in exports(5).
    #[serde(default, deserialize_with = "fsid")]
    pub fsid: Option<Fsid>,
    /// The floating IP.
    #[serde(deserialize_with = "ip")]
    pub ip: IpAddr,
    /// Where what moves along is kept.
    pub state_dir: Option<PathBuf>,
    /// Seconds of the grace period.
    pub grace: Option<u32>,
    /// Seconds for which clients are kept waiting on the node that is left.
    pub fence: Option<u32>,
    /// For `--mount`.
    pub device: Option<PathBuf>,
    /// For `--mount`.
    pub mount_options: Option<String>,
    /// For `--address`.
    pub interface: Option<String>,
    /// For `--address`.
    pub prefix: Option<u8>,
    /// For `--export`: `CLIENT:OPTIONS`.
    #[serde(default)]
    pub exports: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            on_record_failure: OnRecordFailure::default(),
            statd_dir: default_statd_dir(),
            key_file: default_key_file(),
            services: Vec::new(),
        }
    }
}

impl Config {
    /// Reads the file that was named, or the default one, which may be missing.
    pub fn load(named: Option<&Path>) -> Result<Self> {
        let path = named.unwrap_or(Path::new(DEFAULT_PATH));
        let text = match fs::read_to_string(path) {
            Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            other => other.context(|| format!("cannot read {}", path.display()))?,
        };
        Self::parse(&text).map_err(|error| Error::new(format!("{}: {}", path.display(), error)))
    }

    /// Reads the text of a configuration file.
    pub fn parse(text: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error: toml::de::Error| {
            let line = error
                .span()
                .map(|span| text[..span.start].matches('\n').count() + 1);
            let at = line.map_or(String::new(), |line| format!("line {line}: "));
            Error::new(format!("{at}{}", error.message()))
        })
    }

    /// Fails if a name is given twice, and so does not say which service is meant. What goes by addresses
    /// is no worse for it.
    pub fn is_unique(&self, name: &str) -> Result<()> {
        let named = self.services.iter().filter(|service| service.name == name);
        match named.count() {
            0 | 1 => Ok(()),
            _ => Err(Error::new(given_twice(name))),
        }
    }

    /// The service of that name.
    pub fn by_name(&self, name: &str) -> Result<&Service> {
        self.is_unique(name)?;
        self.services
            .iter()
            .find(|service| service.name == name)
            .ok_or_else(|| {
                let known: Vec<_> = self.services.iter().map(|s| s.name.as_str()).collect();
                Error::new(match known.as_slice() {
                    [] => format!("no service \"{name}\": {DEFAULT_PATH} has none, write it or use --path, --fsid and --ip"),
                    known => format!("no service \"{name}\", there are: {}", known.join(", ")),
                })
            })
    }

    /// The services with that floating IP: one for each filesystem that clients reach by it.
    pub fn of_ip(&self, ip: IpAddr) -> impl Iterator<Item = &Service> {
        let services = self.services.iter();
        services.filter(move |service| service.ip == ip)
    }
}

impl Service {
    /// Where what moves along is kept.
    pub fn state_dir(&self) -> PathBuf {
        let default = || self.path.join(".nsm");
        self.state_dir.clone().unwrap_or_else(default)
    }
}

/// What is wrong if two services have one name.
pub fn given_twice(name: &str) -> String {
    format!(
        "two services have the name \"{name}\", so it is not known which one is meant: rename one"
    )
}

/// What rpc.statd itself reads; without nfsconf(8), or if it says nothing, where it always is.
fn default_statd_dir() -> PathBuf {
    let said = program::output_within(
        PATIENCE,
        "nfsconf",
        &["--get", "statd", "state-directory-path"],
    )
    .ok();
    match said.as_deref().map(str::trim_end) {
        Some(path) if path.starts_with('/') => path.into(),
        _ => "/var/lib/nfs".into(),
    }
}

fn default_key_file() -> PathBuf {
    crate::key::DEFAULT_PATH.into()
}

fn fsid<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Option<Fsid>, D::Error> {
    let word = String::deserialize(from)?;
    parse_fsid(&word).map(Some).map_err(D::Error::custom)
}

fn ip<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<IpAddr, D::Error> {
    let word = String::deserialize(from)?;
    parse_ip(&word).map_err(D::Error::custom)
}

/// Reads an export's fsid; `root` is 0.
pub fn parse_fsid(word: &str) -> std::result::Result<Fsid, String> {
    let number = if word == "root" { "0" } else { word };
    Fsid::parse(number.as_bytes()).ok_or_else(|| {
        format!("fsid \"{word}\" is neither a number up to 4294967295 nor a UUID of 32 hexadecimal digits; take what exports(5) has")
    })
}

/// Reads a floating IP.
pub fn parse_ip(word: &str) -> std::result::Result<IpAddr, String> {
    let ip = address::parse(word.as_bytes()).ok_or_else(|| {
        format!("ip \"{word}\" is no address of a server; write it like 10.77.0.101 or fd00::5, without prefix, name or scope")
    })?;
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    if link_local {
        return Err(format!("ip \"{word}\" is a link-local address, which names a host on one link only: take one that clients can route to, such as fd00::5"));
    }
    Ok(ip)
}
