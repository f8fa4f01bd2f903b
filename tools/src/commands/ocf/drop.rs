// SPDX-License-Identifier: GPL-2.0-only

//! A stop where the module is gone, or not called any more. The kernel itself drops locks, too: but
//! there is no fence behind which that happens, and no list. So the address has to be down, and the
//! next node gives all clients the time to reclaim.

use super::Resource;
use crate::error::{
    Error,
    Result, //
};
use crate::inuse::nfs4;
use crate::manifest::Stored;
use crate::nfsd::Nfsd;
use crate::ocf::facts::Facts;

impl Resource<'_> {
    pub(super) fn drop_without_module(&self, facts: &Facts) -> Result<()> {
        let impossible = |why: String| {
            Err(Error::new(format!(
                "the module nfs_failover cannot drop the locks here: {why}"
            )))
        };
        let path = self.service().path.display();
        match facts.up.as_ref().map(|up| up.first()) {
            Ok(None) => {}
            Ok(Some(ip)) => return impossible(format!("{ip} is up, and would get new ones")),
            Err(why) => return impossible(why.clone()),
        }
        let Ok(Some(mount)) = &facts.mount else {
            return impossible(format!("nothing is mounted at {path}"));
        };
        // First: what the kernel would revoke otherwise stays with the client, and when its lease ends
        // the node dies of that.
        for client in nfs4::clients(&self.host.nfsd, mount.device) {
            match client
                .loses(&[mount.device])
                .filter(|_| !self.parameters.expire_nfs4)
            {
                Some(loss) => return impossible(loss),
                None => client.expire()?,
            }
        }
        if let Some(client) = nfs4::clients(&self.host.nfsd, mount.device).first() {
            return impossible(format!("NFSv4 client {} is still there", client.name));
        }
        // What was on a list may not be held any more.
        Stored::new(self.service(), &self.manifest())?
            .remove()
            .map_err(|error| Error::new(format!("cannot remove an old list of locks: {error}")))?;
        let nfsd = Nfsd::new(&self.host.nfsd);
        nfsd.command(
            "unlock_filesystem",
            &self.service().path.display().to_string(),
        )?;
        if nfsd.has_floating_ips() {
            self.without_addresses()?;
            self.end_recovery().or_else(|_| self.fence())?;
        }
        Ok(())
    }
}
