// SPDX-License-Identifier: GPL-2.0-only

//! Several services that move as one: each step is taken on all of them before the next one is taken on
//! any. So no filesystem of an address is taken away while another one still grants locks, and the
//! address comes up where all of them recover.

use crate::config::Service;
use crate::steps::{
    Action,
    Outcome,
    Report,
    Scope,
    Step, //
};
use std::sync::{
    Mutex,
    PoisonError, //
};
use std::thread;

/// What is done about a service that may move with others.
pub trait Moved {
    /// Which service.
    fn service(&self) -> &Service;

    /// What a step is about.
    fn scope(step: &str) -> Scope;

    /// A step is about to be taken on all of them, or, if it is about an address, on one of these.
    fn before(&mut self, _step: &str) {}
}

/// One of them, and what became of it.
#[derive(Debug)]
pub struct One<T> {
    /// What is done.
    pub on: T,
    /// What became of that.
    pub report: Report,
}

/// What is not done any more after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stops {
    /// What is about the same service.
    Itself,
    /// What is about an address of which something has failed: its clients would come too early.
    Address,
    /// The same, as well if that was not done, since something else has failed; and, if it is another
    /// filesystem of which something has failed before this step, everything. What belongs together comes
    /// together: who is told too early of one address reclaims while those of another one cannot yet, and
    /// the recovery is over for them later.
    Filesystem(&'static str),
    /// Everything.
    All,
}

/// Begins with nothing done.
pub fn begin<T>(all: impl IntoIterator<Item = T>) -> Vec<One<T>> {
    let one = |on| One {
        on,
        report: Report::default(),
    };
    all.into_iter().map(one).collect()
}

/// Whether anything of them has changed, or may have.
pub fn has_done<T>(all: &[One<T>]) -> bool {
    all.iter().any(|one| one.report.has_done())
}

/// The exit status of all of them, and so of each, as one that was not gone on with has not moved: what failed comes before what is left to do.
pub fn exit<T>(all: &[One<T>]) -> u8 {
    let exits: Vec<_> = all.iter().map(|one| one.report.exit()).collect();
    match exits.contains(&1) {
        true => 1,
        false => exits.into_iter().max().unwrap_or(0),
    }
}

/// Takes the steps of a plan. What several of them have in common is done with the first; and steps about
/// an address that follow each other are taken on one address after the other.
pub fn run<T: Moved>(
    all: &mut [One<T>],
    plan: &[(&'static str, Action<T>)],
    stops: Stops,
    say: &mut impl FnMut(&Step),
) {
    let about_address = |step: &(&'static str, Action<T>)| T::scope(step.0) == Scope::Address;
    let follow = |step: &(_, _), next: &(_, _)| about_address(step) && about_address(next);
    for steps in plan.chunk_by(follow) {
        let scope = T::scope(steps[0].0);
        for which in 0..all.len() {
            if which == 0 || (scope == Scope::Address && is_first(all, which, scope)) {
                before(all, steps);
            }
            if is_first(all, which, scope) {
                take(all, which, steps, stops, say);
            }
        }
    }
}

fn before<T: Moved>(all: &mut [One<T>], steps: &[(&'static str, Action<T>)]) {
    for (name, _) in steps {
        for one in all.iter_mut() {
            one.on.before(name);
        }
    }
}

fn take<T: Moved>(
    all: &mut [One<T>],
    which: usize,
    steps: &[(&'static str, Action<T>)],
    stops: Stops,
    say: &mut impl FnMut(&Step),
) {
    let stopped = is_stopped(all, which, stops);
    let One { on, report } = &mut all[which];
    match stopped {
        true => report.not_done(steps, &mut *say),
        false => drop(report.again(on, steps, say)),
    }
}

/// Takes the steps of a plan on all addresses at the same time, so that none has to wait for another one.
pub fn run_at_once<T: Moved + Send>(
    all: &mut [One<T>],
    plan: &[(&'static str, Action<T>)],
    stops: Stops,
    say: &mut (impl FnMut(&Step) + Send),
) {
    let stopped = |which| {
        let is_first = is_first(all, which, Scope::Address);
        is_first.then(|| is_stopped(all, which, stops))
    };
    let stopped: Vec<_> = (0..all.len()).map(stopped).collect();
    let say = Mutex::new(say);
    let say = |step: &Step| say.lock().unwrap_or_else(PoisonError::into_inner)(step);
    thread::scope(|scope| {
        for (One { on, report }, stopped) in all.iter_mut().zip(stopped) {
            let Some(stopped) = stopped else {
                continue;
            };
            scope.spawn(move || match stopped {
                true => report.not_done(plan, say),
                false => report.run(on, plan, say),
            });
        }
    });
}

/// Says of the steps of a plan that they were not taken.
pub fn not_done<T: Moved>(
    all: &mut [One<T>],
    plan: &[(&'static str, Action<T>)],
    say: &mut impl FnMut(&Step),
) {
    for at in 0..plan.len() {
        for which in 0..all.len() {
            if is_first(all, which, T::scope(plan[at].0)) {
                all[which].report.not_done(&plan[at..=at], &mut *say);
            }
        }
    }
}

/// Whether this is the one with which a step is taken.
pub fn is_first<T: Moved>(all: &[One<T>], which: usize, scope: Scope) -> bool {
    let service = all[which].on.service();
    !all[..which].iter().any(|before| {
        let before = before.on.service();
        match scope {
            Scope::Service => false,
            Scope::Filesystem => before.path == service.path,
            Scope::Address => before.ip == service.ip,
        }
    })
}

/// Whether something has failed that keeps this one from its next step.
pub fn is_stopped<T: Moved>(all: &[One<T>], which: usize, stops: Stops) -> bool {
    let service = all[which].on.service();
    all.iter().enumerate().any(|(at, one)| {
        let other = one.on.service();
        let steps = one.report.steps();
        let has = |result| steps.iter().any(|step| step.result == result);
        let failed = has(Outcome::Failed);
        match stops {
            Stops::Itself => failed && at == which,
            Stops::Address => failed && other.ip == service.ip,
            Stops::Filesystem(_) if other.ip == service.ip => failed || has(Outcome::NotDone),
            Stops::Filesystem(last) => {
                let mut failed = steps.iter().filter(|step| step.result == Outcome::Failed);
                other.path != service.path && failed.any(|step| step.step != last)
            }
            Stops::All => failed,
        }
    })
}
