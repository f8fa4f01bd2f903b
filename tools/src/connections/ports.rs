// SPDX-License-Identifier: GPL-2.0-only

//! The ports of the services, as they were when somebody knew them.

use std::collections::BTreeSet;
use std::time::{
    Duration,
    Instant, //
};

/// How often the services are asked for their ports. rpcbind may have to be waited for.
pub const ASK: Duration = Duration::from_secs(60);

/// What is known of them.
#[derive(Debug, Default)]
pub struct Ports {
    asked: Option<Instant>,
    known: BTreeSet<u16>,
}

impl Ports {
    /// The ports, and what is not known of them. `ask` is called if it is time for that.
    pub fn at(
        &mut self,
        now: Instant,
        ask: impl FnOnce() -> (Vec<u16>, Vec<String>),
    ) -> (Vec<u16>, Vec<String>) {
        let mut unknown = Vec::new();
        let is_fresh = |asked| now.saturating_duration_since(asked) < ASK;
        if !self.asked.is_some_and(is_fresh) {
            let found;
            (found, unknown) = ask();
            // Who has the others asks again the next time. A rpcbind that was restarted knows nothing
            // any more, but clients are connected to the ports of before.
            let is_all = unknown.is_empty();
            self.asked = is_all.then_some(now);
            if is_all {
                self.known.clear();
            }
            self.known.extend(found);
        }
        (self.known.iter().copied().collect(), unknown)
    }
}
