// SPDX-License-Identifier: GPL-2.0-only

//! Whether a manifest may be believed.
//!
//! A manifest that is older than some lock would let a second holder in: the lock is not on it, so
//! a conflicting one would be granted before its client reclaims. Four things together keep such a
//! manifest out:
//!
//! - The node that released grants nothing while the manifest is valid (the fence), and no later
//!   one is believed.
//! - A node remembers the newest release of each unit that it made or believed. What is not newer
//!   is refused, so a manifest is believed once, and not by a node that has had the unit since.
//! - What was taken before a node began to remember is refused.
//! - A release is stamped with a time after all that the node remembers of the unit, so stamps
//!   grow along the way of the unit even if the clocks of the nodes differ.

use crate::policy::time::SECOND;

/// By how much the clock of another node may be ahead, in nanoseconds.
pub const MAX_AHEAD: u64 = 5 * SECOND;

/// Why a manifest is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It was taken in the future: clocks differ too much.
    Future,
    /// The fence of the node that took it is over.
    Expired,
    /// This node knows of a later release, has believed it before, or may have forgotten.
    Outdated,
}

/// Judges a manifest that was `taken` then and is `valid` for so many seconds. `newest` is the
/// newest stamp that is remembered of the unit, or, if none is, since when units are remembered.
/// Times are nanoseconds of the wall clock.
pub fn judge(taken: u64, valid: u32, now: u64, newest: u64) -> Result<(), Doubt> {
    if taken > now.saturating_add(MAX_AHEAD) {
        return Err(Doubt::Future);
    }
    if now >= taken.saturating_add(u64::from(valid) * SECOND) {
        return Err(Doubt::Expired);
    }
    if taken <= newest {
        return Err(Doubt::Outdated);
    }
    Ok(())
}

/// The stamp of a release at `now`, of a unit of which `newest` is remembered.
pub fn stamp(now: u64, newest: u64) -> u64 {
    now.max(newest.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000 * SECOND;

    #[test]
    fn limits() {
        let cases = [
            (NOW, 1, NOW - 1, Ok(())),
            (NOW, 1, NOW, Err(Doubt::Outdated)),
            (NOW - SECOND, 1, 0, Err(Doubt::Expired)),
            (NOW - SECOND + 1, 1, 0, Ok(())),
            (NOW, 0, 0, Err(Doubt::Expired)),
            (NOW + MAX_AHEAD, 1, 0, Ok(())),
            (NOW + MAX_AHEAD + 1, 1, 0, Err(Doubt::Future)),
            (u64::MAX, u32::MAX, 0, Err(Doubt::Future)),
            (0, u32::MAX, 0, Err(Doubt::Outdated)),
        ];
        for (taken, valid, newest, expected) in cases {
            assert_eq!(
                judge(taken, valid, NOW, newest),
                expected,
                "{taken} {valid} {newest}"
            );
        }
    }

    /// A unit goes from node to node, each with a clock of its own; what was believed once, and
    /// what is older, is refused everywhere it has been.
    #[test]
    fn stamps_grow_along_the_way() {
        let ahead = [0, 3 * SECOND, 0];
        let mut newest = [0; 3];
        let mut all = [0; 12];
        for (step, taken) in all.iter_mut().enumerate() {
            let (from, to) = (step % 3, (step + 1) % 3);
            let now = NOW + step as u64 * 1_000;
            *taken = stamp(now + ahead[from], newest[from]);
            newest[from] = *taken;
            assert_eq!(judge(*taken, 90, now + ahead[to], newest[to]), Ok(()));
            newest[to] = *taken;
            assert_eq!(
                judge(*taken, 90, now + ahead[to], newest[to]),
                Err(Doubt::Outdated)
            );
        }
        for newest in newest {
            assert!(all.iter().filter(|taken| **taken > newest).count() <= 1);
        }
    }
}
