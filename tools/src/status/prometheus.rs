// SPDX-License-Identifier: GPL-2.0-only

//! `status --prometheus`: numbers in the text format of Prometheus, for the textfile collector.

use super::line::Line;
use super::node::Served;
use super::reclaims::Known;
use super::Overview;
use crate::error::{
    Context,
    Result, //
};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// What is told.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Whether all was seen that there is to see.
    pub up: bool,
    /// When that was, in seconds since 1970.
    pub time: f64,
    /// Whether the module is loaded.
    pub loaded: bool,
    /// What the module says; [`None`] if that was not seen.
    pub overview: Option<Overview>,
    /// Whether rpc.statd calls us, if that was seen.
    pub callout: Option<bool>,
    /// The services.
    pub services: Vec<Served>,
}

/// A number for each set of labels.
#[derive(Default)]
struct Metrics {
    /// By name: kind, what it is, and its lines.
    all: BTreeMap<&'static str, (&'static str, &'static str, Vec<String>)>,
}

impl Metrics {
    fn add(
        &mut self,
        (name, kind, help): (&'static str, &'static str, &'static str),
        labels: &[(&str, &str)],
        value: impl std::fmt::Display,
    ) {
        let labels: Vec<_> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        let labels = match labels.is_empty() {
            true => String::new(),
            false => format!("{{{}}}", labels.join(",")),
        };
        let metric = self.all.entry(name).or_insert((kind, help, Vec::new()));
        metric
            .2
            .push(format!("nfs_failover_{name}{labels} {value}"));
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for (name, (kind, help, lines)) in &self.all {
            let _ = writeln!(text, "# HELP nfs_failover_{name} {help}");
            let _ = writeln!(text, "# TYPE nfs_failover_{name} {kind}");
            for line in lines {
                let _ = writeln!(text, "{line}");
            }
        }
        text
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// All of it.
pub fn text(facts: &Facts) -> String {
    let mut metrics = Metrics::default();
    metrics.add(
        ("module_loaded", "gauge", "The module is loaded."),
        &[],
        u8::from(facts.loaded),
    );
    metrics.add(
        ("up", "gauge", "All was seen that there is to see."),
        &[],
        u8::from(facts.up),
    );
    metrics.add(
        ("time_seconds", "gauge", "When this was written."),
        &[],
        facts.time,
    );
    if let Some(callout) = facts.callout {
        let help = "rpc.statd has clients recorded.";
        metrics.add(("callout_ok", "gauge", help), &[], u8::from(callout));
    }
    if let Some(overview) = &facts.overview {
        module(&mut metrics, overview);
        units(&mut metrics, overview);
        records(&mut metrics, overview);
    }
    for served in &facts.services {
        service(&mut metrics, served);
    }
    metrics.text()
}

fn module(metrics: &mut Metrics, overview: &Overview) {
    let hooks = u8::from(!overview.status.hooks_dead());
    metrics.add(
        ("hooks_live", "gauge", "The kernel calls the module."),
        &[],
        hooks,
    );
    let mut lines = overview.status.lines.iter();
    let totals = lines.find(|line| line.kind == "totals");
    for (key, name, help) in [
        ("nmissed", "missed_total", "Calls that the module has missed."),
        (
            "taken_away",
            "taken_away",
            "Times that nfsd was stopped, or locks were taken away otherwise, and clients were not told since.",
        ),
    ] {
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        if let Some(number) = totals.and_then(|line| line.number(key)) {
            metrics.add((name, kind, help), &[], number);
        }
    }
}

/// A unit has a set of lines for each of its services.
fn units(metrics: &mut Metrics, overview: &Overview) {
    const NUMBERS: [(&str, &str, &str); 6] = [
        (
            "left",
            "unit_left_seconds",
            "Until the recovery or the fence is over.",
        ),
        (
            "reclaimed",
            "unit_reclaimed",
            "Locks and shares that came back.",
        ),
        (
            "refused",
            "unit_refused",
            "Reclaims that were refused: these locks are lost.",
        ),
        ("waits", "unit_waits", "Requests that were told to wait."),
        (
            "manifest",
            "unit_manifest",
            "Locks and shares on the list that came along.",
        ),
        (
            "outstanding",
            "unit_outstanding",
            "Of these, those that have not come back.",
        ),
    ];
    let each = overview.services.iter().zip(&overview.nfs4);
    for (unit, (services, nfs4)) in overview.status.units().zip(each) {
        let none = [String::new()];
        let services = if services.is_empty() {
            &none[..]
        } else {
            services
        };
        for service in services {
            let name = unit.name();
            let labels = [("unit", name.as_str()), ("service", service.as_str())];
            let phase = unit.get("phase").unwrap_or("");
            metrics.add(
                ("unit_phase", "gauge", "What is released or recovering."),
                &[labels[0], labels[1], ("phase", phase)],
                1,
            );
            for (key, name, help) in NUMBERS {
                if let Some(number) = unit.number(key) {
                    metrics.add((name, "gauge", help), &labels, number);
                }
            }
            if let Known::Clients(count, missing) = nfs4 {
                let help = "NFSv4 clients on the list that came along.";
                metrics.add(("unit_nfs4_clients", "gauge", help), &labels, count);
                let help = "Of these, those that have not completed their reclaims.";
                metrics.add(("unit_nfs4_missing", "gauge", help), &labels, missing.len());
            }
        }
    }
}

fn records(metrics: &mut Metrics, overview: &Overview) {
    for line in &overview.floating_ips {
        let line: Line = super::words(line);
        let ip = line.get("ip").unwrap_or("");
        if let Some(refused) = line.number("refused") {
            let help = "Locks that were refused or granted without a durable record.";
            metrics.add(
                ("records_refused_total", "counter", help),
                &[("ip", ip)],
                refused,
            );
        }
    }
    for look in &overview.records {
        let ip = look.ip.to_string();
        let labels = [("ip", ip.as_str()), ("service", look.service.as_str())];
        let help = "Clients on record.";
        metrics.add(("records", "gauge", help), &labels, look.on_record);
        let help = "Clients that have locks and are not on record.";
        metrics.add(
            ("records_missing", "gauge", help),
            &labels,
            look.missing.len(),
        );
        let help = "Times that somebody has removed a record.";
        metrics.add(("records_lost_total", "counter", help), &labels, look.lost);
    }
}

fn service(metrics: &mut Metrics, served: &Served) {
    let name = served.now.service.as_str();
    let service = [("service", name)];
    let help = "How long clients may reclaim.";
    metrics.add(("grace_seconds", "gauge", help), &service, served.grace);
    if let (Some(mounted), Some(address)) = (served.now.mounted, served.now.address) {
        let help = "The filesystem is mounted and its address is up.";
        metrics.add(
            ("served", "gauge", help),
            &service,
            u8::from(mounted && address),
        );
    }
    let Some(last) = &served.last_move else {
        return;
    };
    let labels = [("service", name), ("action", last.action.as_str())];
    let help = "When the last move of the service was over.";
    metrics.add(
        ("last_move_timestamp_seconds", "gauge", help),
        &labels,
        last.time,
    );
    let help = "How long it took.";
    metrics.add(("last_move_seconds", "gauge", help), &labels, last.seconds);
    let help = "Its exit status.";
    metrics.add(("last_move_exit", "gauge", help), &labels, last.exit);
    if let (Some(told), Some(answered)) = (last.told, last.answered) {
        let help = "Clients that were told to reclaim and have not answered.";
        let labels = [("service", name), ("ip", last.ip.as_str())];
        metrics.add(
            ("clients_unanswered", "gauge", help),
            &labels,
            told.saturating_sub(answered),
        );
    }
}

/// Writes it where the collector reads: it sees the whole text or the one before.
pub fn write(file: &Path, text: &str) -> Result<()> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    // The collector reads *.prom.
    let beside = file.with_file_name(format!(".{name}.new"));
    let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, file));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written.context(|| format!("cannot write {}", file.display()))
}
