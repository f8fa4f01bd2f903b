// SPDX-License-Identifier: GPL-2.0-only

//! A list of steps that are taken in order, each of which says what became of it.

use crate::error::Result;
use serde::Serialize;

/// What became of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was carried out.
    Done,
    /// It had been carried out before.
    Already,
    /// It is not called for.
    Skipped,
    /// `--dry-run`.
    Would,
    /// It was not carried out, or not completely, and the rest goes on without.
    Incomplete,
    /// It failed, and nothing after it was done.
    Failed,
    /// A step before it failed.
    #[serde(rename = "not done")]
    NotDone,
}

/// One step, for the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its name.
    pub step: &'static str,
    /// What was to be done.
    pub what: String,
    /// What became of it.
    pub result: Outcome,
    /// More about that.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// What a step function returns: what was to be done, what became of it, and why.
pub type Taken = (String, Outcome, String);

/// One step of a plan.
pub type Action<T> = fn(&mut T) -> Result<Taken>;

/// Makes the value that a step function returns.
pub fn taken(what: impl Into<String>, result: Outcome, why: impl Into<String>) -> Result<Taken> {
    Ok((what.into(), result, why.into()))
}

/// The steps so far.
#[derive(Debug, Default)]
pub struct Report {
    steps: Vec<Step>,
}

impl Report {
    /// Takes the steps of a plan in order, up to one that fails.
    pub fn run<T>(
        &mut self,
        on: &mut T,
        plan: &[(&'static str, Action<T>)],
        mut say: impl FnMut(&Step),
    ) {
        let mut failed = false;
        for (step, action) in plan {
            let step = if failed {
                Step {
                    step,
                    what: String::new(),
                    result: Outcome::NotDone,
                    why: String::new(),
                }
            } else {
                let (what, result, why) = action(on)
                    .unwrap_or_else(|error| (String::new(), Outcome::Failed, error.to_string()));
                Step {
                    step,
                    what,
                    result,
                    why,
                }
            };
            failed |= step.result == Outcome::Failed;
            say(&step);
            self.steps.push(step);
        }
    }

    /// The steps.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// 0 if all is well, 1 if a step failed, 3 if something is left to do.
    pub fn exit(&self) -> u8 {
        let has = |result| self.steps.iter().any(|step| step.result == result);
        match (has(Outcome::Failed), has(Outcome::Incomplete)) {
            (true, _) => 1,
            (_, true) => 3,
            _ => 0,
        }
    }
}

impl Step {
    /// `step: what ... done (why)`
    pub fn line(&self) -> String {
        let result = match self.result {
            Outcome::Done => "done",
            Outcome::Already => "already",
            Outcome::Skipped => "skipped",
            Outcome::Would => "would be done",
            Outcome::Incomplete => "NOT COMPLETE",
            Outcome::Failed => "FAILED",
            Outcome::NotDone => "not done",
        };
        let mut line = format!("{}: ", self.step);
        if !self.what.is_empty() {
            line += &format!("{} ... ", self.what);
        }
        line += result;
        if !self.why.is_empty() {
            line += &format!(" ({})", self.why);
        }
        line
    }
}
