// SPDX-License-Identifier: GPL-2.0-only

//! Reading `failover_status`. What is not known is kept, not refused: later modules say more.

use crate::config::Service;
use crate::policy::{
    address,
    fsid::Fsid,
    words::Words, //
};
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Its lines.
    pub lines: Vec<Line>,
}

/// `kind key=value ...`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The first word.
    pub kind: String,
    /// The others, in order. A word without `=` has an empty value.
    pub words: Vec<(String, String)>,
}

impl Status {
    /// Reads the file.
    pub fn parse(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let lines = text.lines().map(Line::parse);
        Self {
            lines: lines.filter(|line| !line.kind.is_empty()).collect(),
        }
    }

    /// The units.
    pub fn units(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.kind == "unit")
    }

    /// The units that a service consists of.
    pub fn units_of<'a>(
        &'a self,
        path: &'a Path,
        fsid: Option<Fsid>,
        ip: IpAddr,
    ) -> impl Iterator<Item = &'a Line> {
        self.units().filter(move |unit| unit.is_of(path, fsid, ip))
    }

    /// Whether a unit of this phase is there.
    pub fn any_phase(&self, phase: &str) -> bool {
        self.units().any(|unit| unit.get("phase") == Some(phase))
    }

    fn totals(&self) -> Option<&Line> {
        self.lines.iter().find(|line| line.kind == "totals")
    }

    /// How often clients lost locks of which nobody told them. [`None`] if it does not say.
    pub fn taken_away(&self) -> Option<u64> {
        self.totals()?.number("taken_away")
    }

    /// Whether the kernel calls the module no more.
    pub fn hooks_dead(&self) -> bool {
        self.totals()
            .is_some_and(|line| line.get("hooks") == Some("dead"))
    }
}

impl Line {
    fn parse(line: &str) -> Self {
        let mut words = line.split_whitespace();
        Self {
            kind: words.next().unwrap_or_default().into(),
            words: words
                .map(|word| word.split_once('=').unwrap_or((word, "")))
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        let word = self.words.iter().find(|(known, _)| known == key);
        word.map(|(_, value)| value.as_str())
    }

    /// The value of a key as a number.
    pub fn number(&self, key: &str) -> Option<u64> {
        self.get(key)?.parse().ok()
    }

    /// How many reclaims were refused.
    pub fn refused(&self) -> u64 {
        self.number("refused").unwrap_or(0)
    }

    /// Whether reclaims are let through.
    pub fn recovers(&self) -> bool {
        matches!(self.get("phase"), Some("recovering" | "recovered"))
    }

    /// Whether it is a unit of this filesystem, for this address if it is for one only.
    pub fn is_of(&self, path: &Path, fsid: Option<Fsid>, ip: IpAddr) -> bool {
        if let Some(name) = self.get("fsid") {
            return fsid.is_some() && Fsid::parse(name.as_bytes()) == fsid;
        }
        let same_ip = self
            .get("ip")
            .and_then(|word| address::parse(word.as_bytes()))
            == Some(ip);
        let same_path = self
            .get("path")
            .is_some_and(|word| unescape(word) == path.as_os_str().as_bytes());
        same_ip && same_path
    }

    /// Whether it is a unit of this service.
    pub fn is_of_service(&self, service: &Service) -> bool {
        self.is_of(&service.path, service.fsid, service.ip)
    }

    /// What the unit is called: `fsid=1234`, or path and address.
    pub fn name(&self) -> String {
        let words: Vec<_> = ["fsid", "path", "ip"]
            .iter()
            .filter_map(|key| self.get(key).map(|value| format!("{key}={value}")))
            .collect();
        words.join(" ")
    }
}

fn unescape(word: &str) -> Vec<u8> {
    let mut buffer = [0; 4096];
    let decoded = Words::new(word.as_bytes())
        .ok()
        .and_then(|mut words| words.next_into(&mut buffer).ok().map(<[u8]>::to_vec));
    decoded.unwrap_or_else(|| word.into())
}
