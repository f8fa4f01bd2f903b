// SPDX-License-Identifier: GPL-2.0-only

//! The control files. Their format is documented in
//! `Documentation/ABI/testing/procfs-nfs-failover`.

mod command;
mod failover_status;
mod floating_ips;
mod lock_manifest;
mod nlm_set_igrace;
mod nlm_unlock;
mod resume_ip;

use crate::{
    hook,
    policy::command::Invalid,
    sys::nfsdfs::ControlFile, //
};
use command::Shown;
use kernel::prelude::*;

/// All of them.
pub(crate) const FILES: &[ControlFile] = &[
    ControlFile::of::<Shown<failover_status::FailoverStatus>>(),
    ControlFile::of::<Shown<floating_ips::FloatingIps>>(),
    ControlFile::of::<lock_manifest::LockManifest>(),
    ControlFile::of::<Shown<nlm_set_igrace::NlmSetIgrace>>(),
    ControlFile::of::<Shown<nlm_unlock::NlmUnlock>>(),
    ControlFile::of::<Shown<resume_ip::ResumeIp>>(),
];

/// A command is only carried out if its hooks work: `ENODEV` if the kernel has stopped calling
/// them.
fn need_hooks() -> Result {
    if hook::live() {
        Ok(())
    } else {
        Err(ENODEV)
    }
}

/// How many calls the hooks have missed; [`None`] if they are not called at all.
fn missed() -> Option<usize> {
    hook::live().then(hook::missed)
}

impl From<Invalid> for Error {
    fn from(_: Invalid) -> Self {
        EINVAL
    }
}
