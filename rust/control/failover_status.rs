// SPDX-License-Identifier: GPL-2.0-only

//! `failover_status`: what is going on.

use super::command::Command;
use crate::{
    hook,
    policy::line::Totals,
    sys::{
        net::Net,
        since::Since,
        text::Text, //
    },
    unit::registry, //
};
use kernel::prelude::*;

/// The file `failover_status`.
pub(super) struct FailoverStatus;

impl Command for FailoverStatus {
    const NAME: &'static CStr = c"failover_status";
    const WRITABLE: bool = false;
    const POLLED: bool = true;

    fn read(net: Net, text: &mut Text) -> Result {
        let units = registry::show(net, None, text)?;
        let totals = Totals {
            units,
            live: hook::live(),
            missed: hook::missed(),
            taken_away: Since::unanswered(net),
        };
        text.add(format_args!("{totals}\n"))
    }
}
