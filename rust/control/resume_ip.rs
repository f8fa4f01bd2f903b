// SPDX-License-Identifier: GPL-2.0-only

//! `resume_ip`: a filesystem has come to this node together with one address.

use super::{
    command::Command,
    need, //
};
use crate::{
    policy::{
        command::{
            self,
            MAX_PATH, //
        },
        phase::Phase,
        verdict::Filesystem, //
    },
    sys::{
        lockd::param,
        net::Net,
        path,
        text::Text, //
    },
    unit::{
        registry,
        release, //
    },
};
use kernel::prelude::*;

/// The file `resume_ip`.
pub(super) struct ResumeIp;

impl Command for ResumeIp {
    const NAME: &'static CStr = c"resume_ip";

    fn write(net: Net, command: &[u8], _reply: &mut Text) -> Result {
        let mut buffer = KVec::from_elem(0, MAX_PATH, GFP_KERNEL)?;
        let command::ResumeIp { ip, path, seconds } =
            command::ResumeIp::parse(command, &mut buffer)?;
        if seconds == Some(0) {
            // By the name it was set with: the filesystem may be unmounted by now.
            return registry::remove_named(net, ip, path).or_else(|_| {
                let filesystem = Filesystem::Device(path::device(path)?);
                registry::remove(net, filesystem, Some(ip), Some(Phase::Recovering))
            });
        }
        let filesystem = Filesystem::Device(path::device(path)?);
        let seconds = seconds.unwrap_or_else(param::grace_period);
        release::recover(net, filesystem, Some(ip), seconds, path, need::missed)
    }

    fn read(net: Net, text: &mut Text) -> Result {
        registry::show(net, Some(Phase::Recovering), text).map(drop)
    }
}
