// SPDX-License-Identifier: GPL-2.0-only

//! A list of steps that are taken in order, each of which says what became of it.

use crate::error::{
    Error,
    Result, //
};
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

/// What a step is about. Services that move together have some in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The service.
    Service,
    /// Its filesystem.
    Filesystem,
    /// Its floating IP.
    Address,
}

/// Makes the value that a step function returns.
pub fn taken(what: impl Into<String>, result: Outcome, why: impl Into<String>) -> Result<Taken> {
    Ok((what.into(), result, why.into()))
}

/// What a first look has found: all of it is an error before anything was done, unless somebody
/// wants it so.
pub fn looked(
    what: impl Into<String>,
    problems: Vec<String>,
    force: bool,
    why: impl Into<String>,
) -> Result<Taken> {
    if problems.is_empty() {
        return taken(what, Outcome::Done, why);
    }
    let problems = problems.join("; ");
    if force {
        return taken(what, Outcome::Incomplete, format!("--force: {problems}"));
    }
    Err(Error::new(format!(
        "{problems}. Nothing was done; --force goes on all the same"
    )))
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
        self.again(on, plan, &mut say);
    }

    /// The same after other steps. Returns whether one failed.
    pub fn again<T>(
        &mut self,
        on: &mut T,
        plan: &[(&'static str, Action<T>)],
        say: &mut impl FnMut(&Step),
    ) -> bool {
        for (at, (step, action)) in plan.iter().enumerate() {
            let (what, result, why) = action(on)
                .unwrap_or_else(|error| (String::new(), Outcome::Failed, error.to_string()));
            let step = Step {
                step,
                what,
                result,
                why,
            };
            say(&step);
            let failed = step.result == Outcome::Failed;
            self.steps.push(step);
            if failed {
                self.not_done(&plan[at + 1..], say);
                return true;
            }
        }
        false
    }

    /// Says of the steps of a plan that they were not taken, as one before failed.
    pub fn not_done<T>(&mut self, plan: &[(&'static str, Action<T>)], mut say: impl FnMut(&Step)) {
        for (step, _) in plan {
            let step = Step {
                step,
                what: String::new(),
                result: Outcome::NotDone,
                why: String::new(),
            };
            say(&step);
            self.steps.push(step);
        }
    }

    /// What was done after that.
    pub fn append(&mut self, later: Self) {
        self.steps.extend(later.steps);
    }

    /// The steps.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether any step but a look has changed something, or may have: of one that failed nobody
    /// knows.
    pub fn has_done(&self) -> bool {
        let looks = ["module", "preflight"];
        let changed = [Outcome::Done, Outcome::Incomplete, Outcome::Failed];
        self.steps
            .iter()
            .any(|step| changed.contains(&step.result) && !looks.contains(&step.step))
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
