// SPDX-License-Identifier: GPL-2.0-only

//! What `status` prints.

use super::line::Line;
use super::Overview;
use std::fmt::Write;

const HEAD: [&str; 8] = [
    "UNIT",
    "PHASE",
    "LEFT",
    "RECLAIMED",
    "REFUSED",
    "WAITS",
    "MANIFEST",
    "MISSING",
];

/// Words that have a column or are part of the name.
const SHOWN: [&str; 11] = [
    "fsid",
    "path",
    "ip",
    "dev",
    "phase",
    "left",
    "reclaimed",
    "refused",
    "waits",
    "manifest",
    "outstanding",
];

/// Clients named in the table; more are counted.
const NAMED: usize = 5;

/// The table.
pub fn table(overview: &Overview) -> String {
    let mut text = String::new();
    if overview.status.hooks_dead() {
        text += "HOOKS ARE DEAD: the kernel has stopped calling nfs_failover. Everything in a\n\
                 namespace with a unit is answered as in a grace period, and no unit can be\n\
                 started. Look for \"ftrace\" in the kernel log, set kernel.ftrace_enabled=1; if\n\
                 that does not help, move the services away and reboot this node.\n\n";
    }
    let units: Vec<_> = overview.status.units().collect();
    if units.is_empty() {
        text += "No filesystem is released or recovering.\n";
    } else {
        let mut rows = vec![HEAD.map(String::from)];
        let services = overview.services.iter().zip(&overview.missing);
        for (unit, (services, missing)) in units.iter().zip(services) {
            rows.push(row(unit, services, missing.as_deref()));
        }
        columns(&mut text, &rows);
        for (unit, missing) in units.iter().zip(&overview.missing) {
            more(&mut text, unit, missing.as_deref());
        }
    }
    for line in &overview.floating_ips {
        let _ = writeln!(text, "floating {line}");
    }
    for line in overview
        .status
        .lines
        .iter()
        .filter(|line| line.kind != "unit")
    {
        let _ = writeln!(text, "{}{}", line.kind, words(line, &[]));
    }
    text
}

fn row(unit: &Line, services: &[String], missing: Option<&[String]>) -> [String; 8] {
    let word = |key| unit.get(key).unwrap_or("-").to_string();
    let name = match services {
        [] => unit.name(),
        services => services.join("+"),
    };
    [
        name,
        word("phase"),
        unit.get("left")
            .map_or("-".into(), |left| format!("{left} s")),
        word("reclaimed"),
        word("refused"),
        word("waits"),
        match (unit.get("outstanding"), unit.get("manifest")) {
            (Some(left), Some(all)) => format!("{left} of {all} left"),
            _ => "none".into(),
        },
        missing.map_or("-".into(), |missing| missing.len().to_string()),
    ]
}

fn columns(text: &mut String, rows: &[[String; 8]]) {
    for row in rows {
        let mut line = String::new();
        for (at, cell) in row.iter().enumerate() {
            let width = rows
                .iter()
                .map(|row| row[at].chars().count())
                .max()
                .unwrap_or(0);
            let _ = write!(line, "{cell:<width$}  ");
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

/// What has no column: reasons of refusals, words of later modules, names of clients.
fn more(text: &mut String, unit: &Line, missing: Option<&[String]>) {
    let words = words(unit, &SHOWN);
    if !words.is_empty() {
        let _ = writeln!(text, "{}:{words}", unit.name());
    }
    let missing = missing.unwrap_or_default();
    if !missing.is_empty() {
        let named = missing
            .iter()
            .take(NAMED)
            .map(String::as_str)
            .collect::<Vec<_>>();
        let rest = missing.len() - named.len();
        let rest = if rest > 0 {
            format!(" and {rest} more")
        } else {
            String::new()
        };
        let _ = writeln!(
            text,
            "{}: no lock yet of {}{rest}",
            unit.name(),
            named.join(", ")
        );
    }
}

fn words(line: &Line, but: &[&str]) -> String {
    let shown = line
        .words
        .iter()
        .filter(|(key, _)| !but.contains(&key.as_str()));
    shown
        .map(|(key, value)| match value.as_str() {
            "dead" => format!(" {key}=DEAD"),
            "" => format!(" {key}"),
            value => format!(" {key}={value}"),
        })
        .collect()
}
