// SPDX-License-Identifier: GPL-2.0-only

//! Hooks of lockd's side of NLM: what clients lock, and how that is gone through.

pub(super) mod freed;
pub(super) mod lookup;
pub(super) mod outcome;
pub(super) mod traverse;
