// SPDX-License-Identifier: GPL-2.0-only

//! What is done again and again on a filesystem, each time by a thread of its own: one that does not
//! answer must not keep us from others.

use crate::syslog::{
    say,
    Level, //
};
use std::thread::{
    self,
    JoinHandle, //
};
use std::time::{
    Duration,
    Instant, //
};

/// What takes longer is worth a word.
const LONG: Duration = Duration::from_secs(10);

/// One such thing.
#[derive(Default)]
pub(super) struct Errand {
    at_it: Option<(Instant, JoinHandle<Option<String>>)>,
    /// What was said last. It is not repeated.
    said: Option<String>,
}

impl Errand {
    /// Takes what it had to say the last time, and begins anew if it has ended. `hangs` is what to
    /// say if it does not end.
    pub(super) fn next(
        &mut self,
        level: Level,
        hangs: impl FnOnce() -> String,
        work: impl FnOnce() -> Option<String> + Send + 'static,
    ) {
        let text = match self.at_it.take() {
            None => None,
            Some((since, work)) if work.is_finished() => match work.join() {
                Ok(text) => text,
                Err(_) => Some(format!(
                    "looking took {} s and failed",
                    since.elapsed().as_secs()
                )),
            },
            Some((since, work)) => {
                let long = since.elapsed() >= LONG;
                self.at_it = Some((since, work));
                if !long {
                    return;
                }
                Some(hangs())
            }
        };
        if text != self.said {
            if let Some(text) = &text {
                say(level, text);
            }
            self.said = text;
        }
        if self.at_it.is_none() {
            self.at_it = thread::Builder::new()
                .spawn(work)
                .ok()
                .map(|work| (Instant::now(), work));
        }
    }
}
