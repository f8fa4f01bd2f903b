// SPDX-License-Identifier: GPL-2.0-only

//! `nlm_set_igrace`: an export has come to this node.

use super::{
    command::Command,
    need, //
};
use crate::{
    policy::{
        command::SetGrace,
        phase::Phase,
        verdict::Filesystem, //
    },
    sys::{
        lockd::param,
        net::Net,
        text::Text, //
    },
    unit::{
        registry,
        release, //
    },
};
use kernel::prelude::*;

/// The file `nlm_set_igrace`.
pub(super) struct NlmSetIgrace;

impl Command for NlmSetIgrace {
    const NAME: &'static CStr = c"nlm_set_igrace";

    fn write(net: Net, command: &[u8], _reply: &mut Text) -> Result {
        let SetGrace { fsid, seconds } = SetGrace::parse(command)?;
        let export = Filesystem::Export(fsid);
        match seconds {
            Some(0) => registry::remove(net, export, None, Some(Phase::Recovering)),
            seconds => {
                let seconds = seconds.unwrap_or_else(param::grace_period);
                release::recover(net, export, None, seconds, &[], need::missed)
            }
        }
    }

    fn read(net: Net, text: &mut Text) -> Result {
        registry::show(net, Some(Phase::Recovering), text).map(drop)
    }
}
