// SPDX-License-Identifier: GPL-2.0-only

//! The only users of C: safe, typed views of what the module needs of the kernel.
//!
//! Each file covers one concept and opens with the lifetimes and locks it relies on.

mod address;
pub(crate) mod claim;
pub(crate) mod errno;
pub(crate) mod fprobe;
pub(crate) mod grace;
pub(crate) mod lockd;
pub(crate) mod module_ref;
pub(crate) mod net;
pub(crate) mod nfsd;
pub(crate) mod path;
pub(crate) mod rcu;
pub(crate) mod request;
pub(crate) mod since;
pub(crate) mod symbol;
mod task_notes;
pub(crate) mod text;
pub(crate) mod timer;
pub(crate) mod trace;
pub(crate) mod watchers;
pub(crate) mod witness;
