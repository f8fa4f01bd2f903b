// SPDX-License-Identifier: GPL-2.0-only

//! nfsd's filesystem, our files in it, and what its own files are told to release.

pub(crate) mod calls;
pub(in crate::sys) mod compound;
pub(crate) mod control_file;
pub(crate) mod export_calls;
pub(crate) mod fs;
pub(crate) mod name_calls;
pub(crate) mod nfs4_calls;
pub(crate) mod release_scope;
pub(crate) mod state;
