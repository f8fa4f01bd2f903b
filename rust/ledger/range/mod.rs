// SPDX-License-Identifier: GPL-2.0-only

//! Byte-range locks: which are [`listed`], and what of them is [`outstanding`], over a [`tree`].

pub(crate) mod listed;
pub(crate) mod outstanding;
pub(crate) mod tree;
