// SPDX-License-Identifier: GPL-2.0-only

//! What `status` prints.

use super::line::Line;
use super::reclaims::Known;
use super::Overview;
use crate::doctor::finding::{
    fold,
    COLUMNS, //
};
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
    if overview.lost_some() {
        text += "LOCKS WERE TAKEN AWAY here, because nfsd was stopped or by unlock_ip or\n\
                 unlock_filesystem, and nobody has told the clients: \"nfs-failoverctl takeover\"\n\
                 gives back to each service what nobody else has taken meanwhile.\n\n";
    }
    let units: Vec<_> = overview.status.units().collect();
    if text.is_empty() {
        text = first(overview);
    }
    if !units.is_empty() {
        let mut rows = vec![HEAD.map(String::from)];
        let services = overview.services.iter().zip(&overview.missing);
        for (unit, (services, missing)) in units.iter().zip(services) {
            rows.push(row(unit, services, missing.as_deref()));
        }
        columns(&mut text, rows);
        for ((unit, missing), nfs4) in units.iter().zip(&overview.missing).zip(&overview.nfs4) {
            more(&mut text, unit, missing.as_deref());
            reclaims(&mut text, unit, nfs4);
        }
    }
    for line in &overview.floating_ips {
        let _ = writeln!(text, "floating {line}");
    }
    for look in &overview.records {
        let _ = writeln!(text, "{look}");
    }
    for line in overview
        .status
        .lines
        .iter()
        .filter(|line| line.kind != "unit")
    {
        let _ = writeln!(text, "{}{}", line.kind, words(line, &[]));
    }
    // Words that are longer than a line, such as paths, stay whole.
    let lines = text.lines();
    lines
        .map(|line| match line.chars().count() > COLUMNS {
            true => fold(line, 0, 4),
            false => format!("{line}\n"),
        })
        .collect()
}

/// Whether all is well, in one line.
fn first(overview: &Overview) -> String {
    let units: Vec<_> = overview.status.units().collect();
    let of = |phases: &[&str]| {
        let phase = |unit: &&&Line| {
            unit.get("phase")
                .is_some_and(|phase| phases.contains(&phase))
        };
        units.iter().filter(phase).count()
    };
    let what = match (of(&["released"]), of(&["recovering", "recovered"])) {
        (0, 0) if units.is_empty() => "nothing is released or recovering".into(),
        (released, recovering) => format!("{released} released, {recovering} recovering"),
    };
    if !overview.is_well() {
        return format!("NOT WELL, see below; {what}.\n");
    }
    let clients: usize = overview.records.iter().map(|look| look.on_record).sum();
    format!("All is well: {what}; {clients} clients on record.\n")
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

/// A name that leaves no room for the rest has a line of its own.
fn columns(text: &mut String, mut rows: Vec<[String; 8]>) {
    let widths = |rows: &[[String; 8]]| -> Vec<usize> {
        let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max();
        (0..8).map(|at| width(at).unwrap_or(0)).collect()
    };
    let rest: usize = widths(&rows)[1..].iter().map(|width| width + 2).sum();
    let room = COLUMNS.saturating_sub(rest);
    let mut names = vec![None; rows.len()];
    for (row, name) in rows.iter_mut().zip(&mut names) {
        if row[0].chars().count() > room {
            *name = Some(std::mem::take(&mut row[0]));
        }
    }
    let widths = widths(&rows);
    for (row, name) in rows.iter().zip(names) {
        if let Some(name) = name {
            let _ = writeln!(text, "{name}");
        }
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
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
    if unit.refused() > 0 {
        let name = unit.name();
        let _ = writeln!(
            text,
            "{name}: RECLAIMS REFUSED, applications have lost these locks"
        );
    }
    let missing = missing.unwrap_or_default();
    if !missing.is_empty() {
        let _ = writeln!(text, "{}: no lock yet of {}", unit.name(), named(missing));
    }
}

/// Which NFSv4 clients are waited for.
fn reclaims(text: &mut String, unit: &Line, nfs4: &Known) {
    let what = match nfs4 {
        Known::Nobody => return,
        Known::Unknown => "not known which NFSv4 clients have not reclaimed yet".into(),
        Known::Clients(count, missing) if missing.is_empty() => {
            format!("all NFSv4 clients on the list have reclaimed ({count})")
        }
        Known::Clients(count, missing) => format!(
            "has not reclaimed yet: {} ({} of {count} NFSv4 clients)",
            named(missing),
            missing.len()
        ),
    };
    let _ = writeln!(text, "{}: {what}", unit.name());
}

/// The first of them, and how many more.
fn named(clients: &[String]) -> String {
    let named: Vec<_> = clients.iter().take(NAMED).map(String::as_str).collect();
    let rest = match clients.len() - named.len() {
        0 => String::new(),
        rest => format!(" and {rest} more"),
    };
    named.join(", ") + &rest
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
