// SPDX-License-Identifier: GPL-2.0-only

//! `nfs4_clients`: who had something of NFSv4 on an export that has come to this node.

use super::{
    command::Command,
    need, //
};
use crate::{
    policy::command,
    sys::{
        net::Net,
        nfsd::control_file::MAX_WRITE,
        text::Text, //
    },
    unit::{
        completion,
        registry, //
    }, //
};
use kernel::prelude::*;

/// The file `nfs4_clients`.
pub(super) struct Nfs4Clients;

impl Command for Nfs4Clients {
    const NAME: &'static CStr = c"nfs4_clients";
    const MAX_COMMAND: usize = MAX_WRITE;

    fn write(net: Net, command: &[u8], reply: &mut Text) -> Result {
        match command::Nfs4Clients::parse(command)? {
            command::Nfs4Clients::Ask(fsid) => completion::ask(net, fsid, need::missed, reply),
            command::Nfs4Clients::Await(clients) => {
                let fsid = clients.fsid;
                need::hooks()?;
                let count = completion::expect(net, clients)?;
                registry::say_rest();
                pr_info!(
                    "{}\n",
                    format_args!("fsid={fsid}{net}: waiting for {count} NFSv4 clients")
                );
                Ok(())
            }
        }
    }

    fn read(net: Net, text: &mut Text) -> Result {
        completion::show(net, text)
    }
}
