// SPDX-License-Identifier: GPL-2.0-only

//! The clock: a list of locks says until when it is valid.

use super::finding::{
    Finding,
    Sight, //
};
use super::sight;

const COST: &str = "a list of locks from a node whose clock is 5 s ahead is refused: after a move everybody waits as after a crash";

/// Whether something keeps the clock right.
pub fn synchronised() -> Sight<bool> {
    let said = sight::said("timedatectl", &["show", "-p", "NTPSynchronized", "--value"])?;
    match said.as_str() {
        "yes" => Ok(true),
        "no" => Ok(false),
        other => Err(format!("timedatectl says \"{other}\"")),
    }
}

/// Judges.
pub fn judge(synchronised: &Sight<bool>) -> Finding {
    const HEAL: &str = "timedatectl set-ntp true, or apt install chrony";
    match synchronised {
        Ok(true) => Finding::ok("clock", "it is kept right by NTP"),
        Ok(false) => Finding::error("clock", "nobody keeps it right", COST, HEAL),
        Err(why) => Finding::unknown("clock", why, COST, HEAL),
    }
}
