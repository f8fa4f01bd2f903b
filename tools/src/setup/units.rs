// SPDX-License-Identifier: GPL-2.0-only

//! Options with which systemd starts the services: they count instead of nfs.conf.

use super::wanted::{
    Wanted,
    CALLOUT, //
};
use crate::doctor::finding::Sight;
use crate::host::Host;
use crate::program;
use std::fs;

/// Options in the units of somebody that say something else than our files.
pub fn contradictions(host: &Host, wanted: &Wanted) -> Sight<Vec<String>> {
    let port = wanted.statd.to_string();
    let options = [
        ("nfs-server", ["-S", "--scope"], wanted.scope.as_str()),
        ("rpc-statd", ["-p", "--port"], &port),
        ("rpc-statd", ["-H", "--ha-callout"], CALLOUT),
    ];
    let mut found = Vec::new();
    for unit in ["nfs-server", "rpc-statd"] {
        let show = |what: &str| {
            program::output("systemctl", &["show", "-p", what, "--value", unit])
                .map_err(|error| error.to_string())
        };
        let begins = show("ExecStart")?;
        for (_, names, wanted) in options.iter().filter(|(of, ..)| *of == unit) {
            let Some(value) = option(&begins, names).filter(|value| value != wanted) else {
                continue;
            };
            let files = format!("{} {}", show("FragmentPath")?, show("DropInPaths")?);
            let file = files
                .split_whitespace()
                .filter(|file| {
                    let file = host.root.join(file.trim_start_matches('/'));
                    let text = fs::read_to_string(file).unwrap_or_default();
                    text.contains("ExecStart") && text.contains(&value)
                })
                .next_back()
                .unwrap_or(unit);
            found.push(format!(
                "{file} starts {unit} with {} {value}, which counts instead of {wanted}: remove that option, then systemctl daemon-reload",
                names[0]
            ));
        }
    }
    Ok(found)
}

/// The value of an option in what systemd shows of ExecStart, which may be several programs.
pub fn option(shown: &str, names: &[&str; 2]) -> Option<String> {
    let plain = |word: &str| word.trim_matches(['"', '\'']).to_string();
    let lines = shown.split("argv[]=").skip(1);
    lines
        .filter_map(|rest| rest.split(" ; ").next())
        .find_map(|line| {
            let words: Vec<_> = line.split_whitespace().map(plain).collect();
            words.iter().enumerate().find_map(|(at, word)| {
                if names.contains(&word.as_str()) {
                    return words.get(at + 1).cloned();
                }
                let long = word.strip_prefix(names[1]);
                let long = long.and_then(|rest| rest.strip_prefix('='));
                long.or_else(|| word.strip_prefix(names[0])).map(plain)
            })
        })
}
