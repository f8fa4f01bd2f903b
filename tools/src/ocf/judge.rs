// SPDX-License-Identifier: GPL-2.0-only

//! What the facts mean. That something does not run is said only of what was seen.

use super::facts::{
    Facts,
    Module, //
};
use crate::doctor::finding::Sight;
use crate::status::line::Line;
use std::fmt;

/// The state of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing of it is here.
    Stopped,
    /// The filesystem is served here.
    Running,
    /// It is served here, but the configuration file says something else than when it was taken over:
    /// whoever edits it is not to end it by that.
    Edited(String),
    /// Something of it is here, and it is not whole: it has to be stopped.
    Broken(String),
    /// It cannot be seen.
    Unseen(String),
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "it does not run",
            Self::Running => "it runs",
            Self::Edited(why) | Self::Broken(why) | Self::Unseen(why) => why,
        })
    }
}

/// Judges.
pub fn judge(facts: &Facts) -> State {
    state(facts).unwrap_or_else(State::Unseen)
}

/// What a resource of several filesystems is. They run together or not at all: one that does not run
/// beside one that does is of a start or a stop that did not come to its end.
pub fn of_all(states: &[State]) -> State {
    let find = |wanted: fn(&State) -> bool| states.iter().find(|state| wanted(state)).cloned();
    let worst = find(|state| matches!(state, State::Unseen(_)))
        .or_else(|| find(|state| matches!(state, State::Broken(_))));
    if let Some(worst) = worst {
        return worst;
    }
    let stopped = states.iter().filter(|state| **state == State::Stopped);
    match stopped.count() {
        0 => find(|state| matches!(state, State::Edited(_))).unwrap_or(State::Running),
        count if count == states.len() => State::Stopped,
        _ => State::Broken("some of its filesystems run here, and others do not".into()),
    }
}

/// Whether nothing of a filesystem is here, whatever address of it is served.
pub fn is_absent(facts: &Facts) -> bool {
    let Ok(Some(module)) = &facts.module else {
        return false;
    };
    facts.mount == Ok(None)
        && facts.elsewhere == Ok(None)
        && facts.exported == Ok(false)
        && module.units.is_empty()
        && facts.held.as_ref().is_ok_and(Vec::is_empty)
}

/// Whether a filesystem has come to a resource by its configuration file while others of it were served. No
/// takeover has left a mark of it, as it has, by now, of each that it has begun to serve. An older version
/// left none, so `others_have_one` is needed where it is here.
pub fn is_new(facts: &Facts, state: &State, others_have_one: bool) -> bool {
    let Ok(Some(module)) = &facts.module else {
        return false;
    };
    match state {
        State::Stopped => true,
        State::Running => others_have_one && module.units.is_empty(),
        State::Broken(_) => is_absent(facts),
        State::Edited(_) | State::Unseen(_) => false,
    }
}

fn state(facts: &Facts) -> Sight<State> {
    let none = Module::default();
    let module = facts.module.clone()?;
    let module = module.as_ref().unwrap_or(&none);
    let mount = facts.mount.clone()?;
    let released = module.is_released();
    let broken = |why: &str| Ok(State::Broken(why.into()));
    if !module.floating.is_empty() {
        let elsewhere = facts.elsewhere.clone()?.filter(|_| !released);
        if let Some(path) = elsewhere {
            return Ok(State::Edited(format!(
                "it is served at {}, and path of the configuration file is another one: if that was changed while it was served, change it back, or restart this resource",
                path.display()
            )));
        }
        return match (released, &mount, &module.not_floating[..]) {
            (true, ..) => broken("its release was begun and has not been finished"),
            (false, None, _) => broken("the filesystem is not mounted any more"),
            (false, Some(_), []) => Ok(State::Running),
            (false, Some(_), missing) => {
                let up = facts.up.clone()?;
                Ok(match missing.iter().find(|ip| up.contains(ip)) {
                    Some(ip) => State::Broken(format!(
                        "{ip} is not in floating_ips: its clients are not recorded"
                    )),
                    None => State::Edited(format!(
                        "{} is of this filesystem now, and was not when it was taken over: restart this resource before the address comes up",
                        missing[0]
                    )),
                })
            }
        };
    }
    // It may be the one under which it was taken over.
    if let (Some(ip), Some(_), false) = (module.strangers.first(), &mount, released) {
        if facts.exported.clone()? {
            return Ok(State::Edited(format!(
                "{ip} is in floating_ips, and no [[service]] of the configuration file has it: if its ip was changed while it was served, change it back, or restart this resource"
            )));
        }
    }
    if module.recovers() {
        return broken("it recovers here, but its takeover was not finished");
    }
    let held = facts.held.clone()?;
    if !held.is_empty() {
        return Ok(State::Broken(format!(
            "it is in no floating_ips, but clients hold {} here",
            held.join(", ")
        )));
    }
    // Behind a fence nothing is granted. Nobody gets at what is neither mounted nor exported.
    if mount.is_none() || released || !facts.exported.clone()? {
        return Ok(State::Stopped);
    }
    match facts.up.clone()?.first() {
        None => Ok(State::Stopped),
        Some(ip) => Ok(State::Broken(format!(
            "it is mounted and exported, and {ip} is up, but it was not taken over: clients lose their locks at the next move"
        ))),
    }
}

impl Module {
    /// Whether the filesystem was released here, and the fence is up.
    pub fn is_released(&self) -> bool {
        self.units
            .iter()
            .any(|unit| unit.get("phase") == Some("released"))
    }

    /// Whether clients can reclaim.
    pub fn recovers(&self) -> bool {
        self.units.iter().any(Line::recovers)
    }
}

/// Whether a takeover was begun here and did not get as far as to use the list of locks that the other
/// node left, so that this is still what clients have. `list` is whether there is one.
pub fn is_untouched(facts: &Facts, list: bool) -> bool {
    let Ok(Some(module)) = &facts.module else {
        return false;
    };
    let untouched = |unit: &Line| {
        unit.get("phase") == Some("recovering")
            && unit.get("manifest").is_none()
            && unit.number("reclaimed") == Some(0)
    };
    list && !module.units.is_empty() && module.units.iter().all(untouched) && nobody_is_here(facts)
}

/// Whether a release was finished here but for what is left to do after the list was written.
pub fn is_listed(facts: &Facts, list: bool) -> bool {
    let Ok(Some(module)) = &facts.module else {
        return false;
    };
    list && module.is_released() && !module.recovers() && nobody_is_here(facts)
}

/// Whether it was seen that clients neither hold anything nor can come.
fn nobody_is_here(facts: &Facts) -> bool {
    let none_held = facts.held.as_ref().is_ok_and(Vec::is_empty);
    none_held && facts.up.as_ref().is_ok_and(Vec::is_empty)
}
