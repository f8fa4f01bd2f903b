// SPDX-License-Identifier: GPL-2.0-only

//! The manifest: which locks a unit had when it was released.
//!
//! [`text`] is what is read on one node and written on the other, [`freshness`] tells whether a
//! manifest may be believed, [`debt`] whether one would lack something.

pub mod debt;
pub mod freshness;
pub mod text;
