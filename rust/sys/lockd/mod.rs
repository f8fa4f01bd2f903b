// SPDX-License-Identifier: GPL-2.0-only

//! What lockd keeps: files, hosts, locks, and what it tells statd of its clients.

pub(in crate::sys) mod args;
pub(crate) mod calls;
pub(crate) mod file;
pub(crate) mod found;
pub(crate) mod grant_call;
pub(crate) mod host;
pub(crate) mod locks;
pub(crate) mod nsm;
pub(crate) mod param;
pub(crate) mod recorder;
pub(crate) mod traversal;
