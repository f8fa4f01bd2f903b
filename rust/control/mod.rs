// SPDX-License-Identifier: GPL-2.0-only

//! The control files. Their format is documented in
//! `Documentation/ABI/testing/procfs-nfs-failover`.

mod command;
mod failover_status;
mod floating_ips;
mod lock_manifest;
pub(crate) mod mount;
mod need;
mod nfs4_clients;
mod nfs4_held;
mod nlm_set_igrace;
mod nlm_unlock;
mod pieces;
mod resume_ip;

use crate::{
    policy::words::Invalid,
    sys::nfsd::fs::ControlFile, //
};
use command::Shown;
use kernel::prelude::*;

/// All of them.
pub(crate) const FILES: &[ControlFile] = &[
    ControlFile::of::<Shown<failover_status::FailoverStatus>>(),
    ControlFile::of::<Shown<floating_ips::FloatingIps>>(),
    ControlFile::of::<lock_manifest::LockManifest>(),
    ControlFile::of::<nfs4_clients::Nfs4Clients>(),
    ControlFile::of::<nfs4_held::Nfs4Held>(),
    ControlFile::of::<Shown<nlm_set_igrace::NlmSetIgrace>>(),
    ControlFile::of::<Shown<nlm_unlock::NlmUnlock>>(),
    ControlFile::of::<Shown<resume_ip::ResumeIp>>(),
];

impl From<Invalid> for Error {
    fn from(_: Invalid) -> Self {
        EINVAL
    }
}
