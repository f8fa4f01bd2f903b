// SPDX-License-Identifier: GPL-2.0-only

//! `callout`: rpc.statd calls.

use crate::callout;
use crate::cli::{
    Cli,
    Event,
    EventArgs, //
};
use crate::config::Config;
use crate::error::Result;
use crate::host::Host;
use crate::syslog::{
    say,
    Level, //
};

/// Does what statd reports.
pub(super) fn called(cli: &Cli, host: &Host, event: &Event) -> Result<u8> {
    let load = || {
        Config::load(cli.config.as_deref()).inspect_err(|error| {
            say(Level::Critical, &format!("clients of floating IPs are NOT RECORDED: {error}; \"nfs-failoverctl config check\" says more"));
        })
    };
    match event {
        Event::SmNotify(_) => Ok(0),
        Event::AddClient(client) => {
            let again = again(cli, "record", client);
            let recorded = callout::add_client(&load()?, &client.mon_name, &client.my_name, &again);
            Ok(if recorded { 0 } else { 1 })
        }
        Event::DelClient(client) => {
            let again = again(cli, "forget", client);
            callout::del_client(&load()?, host, &client.mon_name, &client.my_name, &again)
                .map(|()| 0)
        }
        Event::Record(client) => {
            callout::record(&load()?, host, &client.mon_name, &client.my_name).map(|()| 0)
        }
        Event::Forget(client) => {
            callout::forget(&load()?, host, &client.mon_name, &client.my_name).map(|()| 0)
        }
    }
}

/// The command line of a process that does not have to be waited for.
fn again(cli: &Cli, event: &str, client: &EventArgs) -> Vec<String> {
    let mut again = cli.options();
    again.extend(["callout", event, "--", &client.mon_name, &client.my_name].map(String::from));
    again
}
