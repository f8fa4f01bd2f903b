// SPDX-License-Identifier: GPL-2.0-only

//! `boot`: keeps sm-notify from telling clients that a floating IP has restarted that is served
//! elsewhere by now, where nobody waits for their reclaims.

use crate::config::Config;
use crate::error::Result;
use crate::statd::list;
use std::net::IpAddr;

/// Removes all floating IPs from statd's lists. Returns what to say.
pub fn boot(config: &Config) -> Result<Vec<String>> {
    let ips: Vec<IpAddr> = config.services.iter().map(|service| service.ip).collect();
    let mut said = Vec::new();
    for name in ["sm", "sm.bak"] {
        let dir = config.statd_dir.join(name);
        for pair in list::remove(&dir, &ips)? {
            said.push(format!(
                "removed {} from {}: it uses floating IP {}",
                pair.mon_name,
                dir.display(),
                pair.my_name
            ));
        }
    }
    Ok(said)
}
