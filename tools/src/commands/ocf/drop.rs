// SPDX-License-Identifier: GPL-2.0-only

//! A stop where the module is gone, or not called any more. The kernel itself drops locks, too: but
//! there is no fence behind which that happens, and no list. So the address has to be down, and the
//! next node gives all clients the time to reclaim.

use super::{
    manifest,
    Resource,
    Seen, //
};
use crate::awaited;
use crate::error::{
    Error,
    Result, //
};
use crate::inuse::nfs4;
use crate::manifest::Stored;
use crate::nfsd::Nfsd;

impl Resource<'_> {
    pub(super) fn drop_without_module(&self, seen: &Seen) -> Result<()> {
        let impossible = |why: String| {
            Err(Error::new(format!(
                "the module nfs_failover cannot drop the locks here: {why}"
            )))
        };
        match seen.up() {
            Ok(up) => {
                if let Some(ip) = up.first() {
                    return impossible(format!("{ip} is up, and would get new ones"));
                }
            }
            Err(why) => return impossible(why.to_string()),
        }
        let mut mounts = Vec::new();
        for part in &seen.each {
            match &part.facts.mount {
                Ok(Some(mount)) => mounts.push(mount.device),
                _ => {
                    let path = part.service.path.display();
                    return impossible(format!("nothing is mounted at {path}"));
                }
            }
        }
        // First, as it takes its time: what was on a list may not be held any more.
        for part in &seen.each {
            let manifest = manifest(&part.service);
            let lists = [
                Stored::new(&part.service, &manifest)?,
                awaited::stored(&part.service, &manifest)?,
            ];
            for list in lists {
                list.remove()
                    .map_err(|error| Error::new(format!("cannot remove an old list: {error}")))?;
            }
        }
        // What the kernel would revoke otherwise stays with the client, and when its lease ends
        // the node dies of that.
        for device in &mounts {
            for client in nfs4::clients(&self.host.nfsd, *device) {
                match client
                    .loses(&mounts)
                    .filter(|_| !self.parameters.expire_nfs4)
                {
                    Some(loss) => return impossible(loss),
                    None => client.expire()?,
                }
            }
        }
        // One may come by another address of the node at any time: before, so that nothing is revoked;
        // after, as that is what nobody has heard of.
        let nobody_is_there = || {
            let mut clients = mounts
                .iter()
                .flat_map(|device| nfs4::clients(&self.host.nfsd, *device));
            match clients.next() {
                Some(client) => impossible(format!("NFSv4 client {} is still there", client.name)),
                None => Ok(()),
            }
        };
        let nfsd = Nfsd::new(&self.host.nfsd);
        for part in &seen.each {
            let path = part.service.path.display().to_string();
            nobody_is_there()?;
            nfsd.command("unlock_filesystem", &path)?;
            nobody_is_there()?;
        }
        if nfsd.has_floating_ips() {
            self.without_addresses()?;
            for part in &seen.each {
                self.end(&part.service)?;
            }
        }
        Ok(())
    }
}
