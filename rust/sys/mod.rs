// SPDX-License-Identifier: GPL-2.0-only

//! The only users of C: safe, typed views of what the module needs of the kernel.
//!
//! Each file covers one concept and opens with the lifetimes and locks it relies on.

mod address;
mod bytask;
pub(crate) mod due;
pub(crate) mod errno;
pub(crate) mod file;
pub(crate) mod fprobe;
pub(crate) mod grace;
pub(crate) mod granted;
pub(crate) mod host;
pub(crate) mod lockd;
pub(crate) mod lockdparam;
pub(crate) mod locks;
pub(crate) mod net;
pub(crate) mod nfsdfs;
pub(crate) mod nsm;
pub(crate) mod path;
pub(crate) mod pin;
pub(crate) mod rcu;
pub(crate) mod recorder;
pub(crate) mod request;
pub(crate) mod scope;
pub(crate) mod symbol;
pub(crate) mod text;
pub(crate) mod timer;
pub(crate) mod traversal;
pub(crate) mod witness;
