// SPDX-License-Identifier: GPL-2.0-only

//! The manifest: which locks a unit had when it was released.
//!
//! [`text`] is what is read on one node and written on the other, [`fileid`] tells which handles
//! mean the same file, [`listed`] answers whether a lock is listed, [`outstanding`] what of the
//! list is still outstanding (over a [`tree`]), [`freshness`] whether a manifest may be believed.

pub mod fileid;
pub mod freshness;
pub mod listed;
pub mod outstanding;
pub mod sort;
pub mod text;
pub mod tree;
