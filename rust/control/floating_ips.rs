// SPDX-License-Identifier: GPL-2.0-only

//! `floating_ips`: addresses by which statd is told of clients.

use super::command::Command;
use crate::{
    monitor,
    policy::command,
    sys::{
        net::Net,
        text::Text, //
    },
    unit::registry,
};
use kernel::prelude::*;

/// The file `floating_ips`.
pub(super) struct FloatingIps;

impl Command for FloatingIps {
    const NAME: &'static CStr = c"floating_ips";

    fn write(net: Net, command: &[u8], _reply: &mut Text) -> Result {
        match command::FloatingIps::parse(command)? {
            command::FloatingIps::Add { ip, confirm } => {
                super::need_hooks()?;
                monitor::add(net, ip, confirm)?;
                registry::say_rest();
                let confirm = if confirm { ", records confirmed" } else { "" };
                pr_info!(
                    "{}\n",
                    format_args!("ip={ip}{net}: floating address{confirm}")
                );
            }
            command::FloatingIps::Remove { ip } => {
                monitor::remove(net, ip)?;
                registry::say_rest();
                pr_info!(
                    "{}\n",
                    format_args!("ip={ip}{net}: no floating address any more")
                );
            }
            command::FloatingIps::Recorded { ip, client } => monitor::recorded(net, ip, client)?,
        }
        Ok(())
    }

    fn read(net: Net, text: &mut Text) -> Result {
        monitor::show(net, text)
    }
}
