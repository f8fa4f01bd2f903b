// SPDX-License-Identifier: GPL-2.0-only

//! `floating_ips`: addresses by which statd is told of clients.

use super::{
    command::Command,
    need, //
};
use crate::{
    monitor::control,
    policy::command,
    sys::{
        net::Net,
        text::Text,
        watchers, //
    },
    unit::registry,
};
use kernel::prelude::*;

/// The file `floating_ips`.
pub(super) struct FloatingIps;

impl Command for FloatingIps {
    const NAME: &'static CStr = c"floating_ips";

    fn write(net: Net, command: &[u8], reply: &mut Text) -> Result {
        match command::FloatingIps::parse(command)? {
            command::FloatingIps::Add { ip, confirm } => {
                need::hooks()?;
                control::add(net, ip, confirm)?;
                watchers::tell(net);
                registry::say_rest();
                let confirm = if confirm { ", records confirmed" } else { "" };
                pr_info!(
                    "{}\n",
                    format_args!("ip={ip}{net}: floating address{confirm}")
                );
            }
            command::FloatingIps::Remove { ip } => {
                control::remove(net, ip)?;
                watchers::tell(net);
                registry::say_rest();
                pr_info!(
                    "{}\n",
                    format_args!("ip={ip}{net}: no floating address any more")
                );
            }
            command::FloatingIps::Client { ip, client, change } => {
                control::change(net, ip, client, change)?;
            }
            command::FloatingIps::List { ip, only } => control::list(net, ip, only, reply)?,
        }
        Ok(())
    }

    fn read(net: Net, text: &mut Text) -> Result {
        control::show(net, text)
    }
}
