// SPDX-License-Identifier: GPL-2.0-only

//! `boot`: keeps sm-notify from telling clients that a floating IP has restarted that is served
//! elsewhere by now, where nobody waits for their reclaims.

use crate::config::Config;
use crate::error::Result;
use crate::export;
use crate::host::Host;
use crate::nfsd::Nfsd;
use crate::statd::{
    self,
    list, //
};

/// Removes what exported filesystems that are not mounted any more, and the floating IPs that are
/// not active here from statd's lists, and from what it remembers. Returns what to say.
pub fn boot(config: &Config, host: &Host) -> Result<Vec<String>> {
    let nfsd = Nfsd::new(&host.nfsd);
    let mut said = export::remove_left_over(host)?;
    for ip in config.services.iter().map(|service| service.ip) {
        if nfsd.has_floating_ips() && nfsd.is_floating(ip)? {
            said.push(format!("{ip}: left alone, it is active on this node"));
            continue;
        }
        let forgotten = statd::forget(host, &config.statd_dir, ip, statd::AT_LEISURE)?.pairs;
        let told = list::remove(&config.statd_dir.join("sm.bak"), &[ip])?.len();
        for (count, list) in [(forgotten, "sm"), (told, "sm.bak")] {
            if count > 0 {
                let dir = config.statd_dir.join(list);
                said.push(format!(
                    "{ip}: removed from {}, clients: {count}",
                    dir.display()
                ));
            }
        }
    }
    Ok(said)
}
