// SPDX-License-Identifier: GPL-2.0-only

//! What `doctor` says of one thing that it has looked at.

use serde::Serialize;
use std::fmt::Write;

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It was seen to be right.
    Ok,
    /// To be known.
    Info,
    /// It could not be looked at.
    Unknown,
    /// It works, and will not always.
    Warning,
    /// Locks are lost by it, or nothing can be moved.
    Error,
}

/// One thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The name of what was looked at.
    pub check: &'static str,
    /// The service that it is about; all of the node if it is none.
    pub service: Option<String>,
    /// How it is.
    pub verdict: Verdict,
    /// What is the case.
    pub what: String,
    /// What that costs, and whom.
    pub cost: String,
    /// The command that puts it right, or what else to do.
    pub heal: String,
}

/// What could be seen, or why it could not.
pub type Sight<T> = std::result::Result<T, String>;

/// What is to be done about a word in the configuration.
pub const EDIT: &str = "edit /etc/nfs-failover.toml, on all nodes alike";

/// As wide as a terminal is.
pub const COLUMNS: usize = 80;

/// Where the text begins, behind the verdict.
const INDENT: usize = 9;

impl Finding {
    fn new(
        check: &'static str,
        verdict: Verdict,
        what: impl Into<String>,
        cost: impl Into<String>,
        heal: impl Into<String>,
    ) -> Self {
        Self {
            check,
            service: None,
            verdict,
            what: what.into(),
            cost: cost.into(),
            heal: heal.into(),
        }
    }

    /// It is as it has to be.
    pub fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, Verdict::Ok, what, "", "")
    }

    /// It is neither right nor wrong.
    pub fn info(check: &'static str, what: impl Into<String>) -> Self {
        Self::new(check, Verdict::Info, what, "", "")
    }

    /// It could not be looked at; the cost is that of what may be wrong.
    pub fn unknown(
        check: &'static str,
        what: impl Into<String>,
        cost: impl Into<String>,
        heal: impl Into<String>,
    ) -> Self {
        Self::new(check, Verdict::Unknown, what, cost, heal)
    }

    /// It should be otherwise.
    pub fn warning(
        check: &'static str,
        what: impl Into<String>,
        cost: impl Into<String>,
        heal: impl Into<String>,
    ) -> Self {
        Self::new(check, Verdict::Warning, what, cost, heal)
    }

    /// It must be otherwise.
    pub fn error(
        check: &'static str,
        what: impl Into<String>,
        cost: impl Into<String>,
        heal: impl Into<String>,
    ) -> Self {
        Self::new(check, Verdict::Error, what, cost, heal)
    }

    /// The same, about one service.
    pub fn of(self, service: &str) -> Self {
        Self {
            service: Some(service.into()),
            ..self
        }
    }

    /// In one line, without what it costs.
    pub fn line(&self) -> String {
        let mut line = String::new();
        if let Some(service) = &self.service {
            let _ = write!(line, "service \"{service}\": ");
        }
        line += &self.what;
        if !self.heal.is_empty() && self.heal != EDIT {
            let _ = write!(line, ": \"{}\"", self.heal);
        }
        line
    }

    /// For people, at the width of a terminal.
    pub fn text(&self) -> String {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Info => "info",
            Verdict::Unknown => "UNKNOWN",
            Verdict::Warning => "WARNING",
            Verdict::Error => "ERROR",
        };
        let name = match &self.service {
            Some(service) => format!("{} {service}", self.check),
            None => self.check.into(),
        };
        let mut text = format!("{verdict:<INDENT$}");
        text += &fold(&format!("{name}: {}", self.what), INDENT, INDENT);
        for (label, said) in [("costs:", &self.cost), ("do:", &self.heal)] {
            if !said.is_empty() {
                let _ = write!(text, "{:INDENT$}{label:<7}", "");
                text += &fold(said, INDENT + 7, INDENT + 7);
            }
        }
        text
    }
}

/// Breaks a text into lines of no more than [`COLUMNS`], if its words let it. The first line begins
/// behind `first` columns, the others are indented by `indent`.
pub fn fold(text: &str, first: usize, indent: usize) -> String {
    let mut folded = String::new();
    let mut column = first;
    let mut begins = true;
    for word in text.split(' ') {
        let length = word.chars().count();
        if !begins && column + 1 + length > COLUMNS {
            let _ = write!(folded, "\n{:indent$}", "");
            column = indent;
            begins = true;
        }
        if !begins {
            folded.push(' ');
            column += 1;
        }
        folded += word;
        column += length;
        begins = false;
    }
    folded + "\n"
}

/// The exit status: 1 if something is wrong, 3 if something should be otherwise or could not be
/// looked at, else 0.
pub fn exit(findings: &[Finding]) -> u8 {
    match findings.iter().map(|finding| finding.verdict).max() {
        Some(Verdict::Error) => 1,
        Some(Verdict::Warning | Verdict::Unknown) => 3,
        _ => 0,
    }
}
