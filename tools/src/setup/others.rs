// SPDX-License-Identifier: GPL-2.0-only

//! Files of the administrator beside ours that say something else.

use super::settings::{
    settings,
    Setting, //
};
use super::wanted::Wanted;
use crate::host::Host;
use std::fs;
use std::path::{
    Path,
    PathBuf, //
};

/// A file and what it sets.
type Other = (PathBuf, Vec<Setting>);

/// The files of nfs.conf but for ours, in the order in which they are read: the last one counts.
fn nfs_conf(host: &Host, ours: &Path) -> (Vec<Other>, Vec<Other>) {
    let etc = host.root.join("etc");
    let mut files = of(&etc.join("nfs.conf.d"), ".conf");
    files.insert(0, etc.join("nfs.conf"));
    let (before, after): (Vec<_>, Vec<_>) = files
        .into_iter()
        .filter(|file| file != ours)
        .map(|file| {
            let text = fs::read_to_string(&file).unwrap_or_default();
            (file, settings(&text))
        })
        .partition(|(file, _)| file.file_name() < ours.file_name() || file.ends_with("nfs.conf"));
    (before, after)
}

fn of(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    files.sort();
    files
}

/// A port that the administrator has given to a service in a file of his own.
pub fn port(host: &Host, ours: &Path, section: &str) -> Option<u16> {
    let (before, after) = nfs_conf(host, ours);
    let settings = before.iter().chain(&after).flat_map(|(_, found)| found);
    settings
        .filter(|setting| setting.section == section && setting.key == "port")
        .filter_map(|setting| setting.value.parse().ok())
        .filter(|port| *port != 0)
        .next_back()
}

/// What contradicts: what is read later than ours, and so would count instead.
pub fn contradictions(host: &Host, ours: &Path, modprobe: &Path, wanted: &Wanted) -> Vec<String> {
    let mut found = Vec::new();
    for (file, settings) in nfs_conf(host, ours).1 {
        for (section, key, value) in wanted.nfs_conf() {
            let other = settings.iter().find(|setting| {
                setting.section == section && setting.key == key && setting.value != value
            });
            found.extend(other.map(|setting| {
                format!(
                    "line {} of {} is {key}={} in [{section}], and counts instead of {value}: remove it",
                    setting.line,
                    file.display(),
                    setting.value
                )
            }));
        }
    }
    let port = wanted.lockd.to_string();
    for file in of(&host.root.join("etc/modprobe.d"), ".conf") {
        if file == modprobe {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap_or_default();
        for (at, line) in text.lines().enumerate() {
            found.extend(other_port(line, &port).map(|word| {
                format!(
                    "line {} of {} is {word}, not {port}: remove it, or take that with --lockd-port",
                    at + 1,
                    file.display()
                )
            }));
        }
    }
    found
}

fn other_port<'a>(line: &'a str, port: &str) -> Option<&'a str> {
    let mut words = line.split_whitespace();
    if (words.next(), words.next()) != (Some("options"), Some("lockd")) {
        return None;
    }
    words.find(|word| {
        ["nlm_tcpport=", "nlm_udpport="]
            .iter()
            .any(|key| word.strip_prefix(key).is_some_and(|value| value != port))
    })
}

/// What ours overrides, to be known.
pub fn overridden(host: &Host, ours: &Path, wanted: &Wanted) -> Vec<String> {
    let mut found = Vec::new();
    for (file, settings) in nfs_conf(host, ours).0 {
        for (section, key, value) in wanted.nfs_conf() {
            let other = settings.iter().find(|setting| {
                setting.section == section && setting.key == key && setting.value != value
            });
            found.extend(other.map(|setting| {
                format!(
                    "line {} of {}, {key}={} in [{section}], does not count any more",
                    setting.line,
                    file.display(),
                    setting.value
                )
            }));
        }
    }
    found
}
