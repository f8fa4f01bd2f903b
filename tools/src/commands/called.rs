// SPDX-License-Identifier: GPL-2.0-only

//! `callout`: rpc.statd calls.

use crate::callout;
use crate::cli::{
    Cli,
    Event, //
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
            let again = again(cli, &client.mon_name, &client.my_name);
            let recorded =
                callout::add_client(&load()?, host, &client.mon_name, &client.my_name, &again);
            Ok(if recorded { 0 } else { 1 })
        }
        Event::DelClient(client) => {
            callout::del_client(&load()?, host, &client.mon_name, &client.my_name).map(|()| 0)
        }
        Event::Retry(client) => {
            callout::retry(&load()?, host, &client.mon_name, &client.my_name).map(|()| 0)
        }
        Event::Detach { arguments } => callout::detached(arguments).map(|()| 0),
    }
}

/// The command line of a later try.
fn again(cli: &Cli, client: &str, my_name: &str) -> Vec<String> {
    let mut again = vec![];
    if let Some(config) = &cli.config {
        again.extend(["--config".into(), config.display().to_string()]);
    }
    again.extend(["--nfsd".into(), cli.nfsd.display().to_string()]);
    again.extend(["--mountinfo".into(), cli.mountinfo.display().to_string()]);
    again.extend(["callout", "retry", "--", client, my_name].map(String::from));
    again
}
