// SPDX-License-Identifier: GPL-2.0-only

//! `nlm_unlock`: an export leaves this node.

use super::{
    command::Command,
    need, //
};
use crate::{
    monitor,
    policy::command::Unlock,
    sys::{
        net::Net,
        text::Text, //
    },
    unit::release, //
};
use kernel::prelude::*;

/// The file `nlm_unlock`.
pub(super) struct NlmUnlock;

impl Command for NlmUnlock {
    const NAME: &'static CStr = c"nlm_unlock";

    fn write(net: Net, command: &[u8], reply: &mut Text) -> Result {
        let Unlock { fsid, fence } = Unlock::parse(command)?;
        // Before, so that whom lockd forgets meanwhile stays known, and after, for who came meanwhile.
        monitor::released(net);
        let result = release::release(net, fsid, fence, need::missed, reply);
        monitor::released(net);
        result
    }
}
