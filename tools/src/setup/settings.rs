// SPDX-License-Identifier: GPL-2.0-only

//! Configuration files of others: what they set, and whether one of ours may be replaced.

use sha2::{
    Digest,
    Sha256, //
};

/// Whose file it is, and what it was when we wrote it.
const MARK: &str = "# Written by nfs-failoverctl setup, sum ";

/// A setting: where it is, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The section; empty in files without.
    pub section: String,
    /// What is set. In files without sections, the whole line.
    pub key: String,
    /// To what.
    pub value: String,
    /// Number of the line, from 1.
    pub line: usize,
}

impl Setting {
    fn is_same(&self, other: &Self) -> bool {
        self.is_of(other) && self.value == other.value
    }

    /// Whether both are about the same.
    pub fn is_of(&self, other: &Self) -> bool {
        self.section == other.section && self.key == other.key
    }
}

/// What a file sets, in the form of nfs.conf(5), or line by line as in modprobe.d(5).
pub fn settings(text: &str) -> Vec<Setting> {
    let mut section = String::new();
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            let name = name.split(']').next().unwrap_or(name);
            section = name.trim().to_ascii_lowercase();
            continue;
        }
        let (key, value) = match (section.is_empty(), line.split_once('=')) {
            (false, Some((key, said))) => match value(said) {
                Some(value) => (key.trim().to_ascii_lowercase(), value.into()),
                // nfs-utils does not read such a line. It is of somebody all the same.
                None => (line.to_string(), String::new()),
            },
            _ => (line.to_string(), String::new()),
        };
        found.push(Setting {
            section: section.clone(),
            key,
            value,
            line: at + 1,
        });
    }
    found
}

/// A value as nfs-utils has it: what is in quotes, or what is before a remark. [`None`] if a quote does
/// not end.
fn value(said: &str) -> Option<&str> {
    let said = said.trim();
    for quote in ['"', '\''] {
        if let Some(rest) = said.strip_prefix(quote) {
            return rest.split_once(quote).map(|(inside, _)| inside);
        }
    }
    said.split(['#', ';']).next().map(str::trim_end)
}

/// Puts the mark in front of a text.
pub fn marked(body: &str) -> String {
    format!("{MARK}{}\n{body}", sum(body))
}

fn sum(body: &str) -> String {
    let digest = Sha256::digest(body.as_bytes());
    let first = digest.iter().take(4);
    first.fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Whether a text is as we wrote it.
fn is_ours(text: &str) -> bool {
    text.strip_prefix(MARK)
        .and_then(|rest| rest.split_once('\n'))
        .is_some_and(|(said, body)| said == sum(body))
}

/// What is to become of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is as it has to be.
    Right,
    /// It is written, and nothing is lost: there is none, we wrote it, or it sets nothing else.
    Write,
    /// Somebody has changed it: these lines would be lost.
    Changed(Vec<String>),
}

/// What is to become of a file that has one text, or is not there, and is to have another.
pub fn fate(old: Option<&str>, new: &str) -> Fate {
    let Some(old) = old else { return Fate::Write };
    if old == new {
        return Fate::Right;
    }
    let wanted = settings(new);
    let lost: Vec<_> = settings(old)
        .into_iter()
        .filter(|setting| !wanted.iter().any(|wanted| wanted.is_same(setting)))
        .filter_map(|setting| {
            let line = old.lines().nth(setting.line - 1)?.trim();
            let section = match setting.section.as_str() {
                "" => String::new(),
                section => format!("[{section}] "),
            };
            Some(format!("line {}: {section}{line}", setting.line))
        })
        .collect();
    match lost.is_empty() || is_ours(old) {
        true => Fate::Write,
        false => Fate::Changed(lost),
    }
}

/// What differs between two texts, line by line.
pub fn difference(old: Option<&str>, new: &str) -> Vec<String> {
    let old: Vec<_> = old.unwrap_or_default().lines().collect();
    let new: Vec<_> = new.lines().collect();
    let gone = old.iter().filter(|line| !new.contains(line));
    let come = new.iter().filter(|line| !old.contains(line));
    gone.map(|line| format!("- {line}"))
        .chain(come.map(|line| format!("+ {line}")))
        .collect()
}
