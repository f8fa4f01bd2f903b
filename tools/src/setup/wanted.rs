// SPDX-License-Identifier: GPL-2.0-only

//! What a node needs in files of others.

use super::settings::marked;

/// Where rpc.statd finds us.
pub const CALLOUT: &str = "/usr/lib/nfs-failover/statd-callout";

/// What nfs.conf(5) reads after `/etc/nfs.conf`. Not the package's own file there, which dpkg would ask
/// about at its next upgrade.
pub const NFS_CONF: &str = "etc/nfs.conf.d/nfs-failover-setup.conf";

/// For lockd, which the kernel may load before anybody reads nfs.conf.
pub const MODPROBE: &str = "etc/modprobe.d/nfs-failover.conf";

/// So that the module is there before nfsd is.
pub const MODULES_LOAD: &str = "etc/modules-load.d/nfs-failover.conf";

/// What may be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The scope of nfsd.
    pub scope: String,
    /// The ports of lockd, rpc.statd and rpc.mountd.
    pub lockd: u16,
    /// That of rpc.statd.
    pub statd: u16,
    /// That of rpc.mountd.
    pub mountd: u16,
}

impl Wanted {
    /// The settings in nfs.conf: section, key and value.
    pub fn nfs_conf(&self) -> Vec<(&'static str, &'static str, String)> {
        vec![
            ("nfsd", "scope", self.scope.clone()),
            ("lockd", "port", self.lockd.to_string()),
            ("lockd", "udp-port", self.lockd.to_string()),
            ("statd", "port", self.statd.to_string()),
            ("statd", "ha-callout", CALLOUT.into()),
            ("mountd", "port", self.mountd.to_string()),
            ("sm-notify", "lift-grace", "n".into()),
        ]
    }

    /// All files, and what they are to have.
    pub fn files(&self) -> [(&'static str, String); 3] {
        let mut nfs_conf = String::from("# See operations.rst of nfs-failover.\n");
        let mut section = "";
        for (of, key, value) in self.nfs_conf() {
            if of != section {
                nfs_conf += &format!("\n[{of}]\n");
                section = of;
            }
            nfs_conf += &format!("{key}={value}\n");
        }
        let lockd = self.lockd;
        [
            (NFS_CONF, marked(&nfs_conf)),
            (
                MODPROBE,
                marked(&format!(
                    "options lockd nlm_tcpport={lockd} nlm_udpport={lockd}\n"
                )),
            ),
            (MODULES_LOAD, marked("nfs_failover\n")),
        ]
    }
}

/// Why a scope is of no use.
pub fn bad_scope(scope: &str, hostname: Option<&str>) -> Option<String> {
    let odd = |letter: char| !(letter.is_ascii_alphanumeric() || "._-".contains(letter));
    if scope.is_empty() || scope.len() > 255 || scope.contains(odd) {
        return Some(format!(
            "the scope \"{scope}\" is not a word of letters, digits, \".\", \"_\" and \"-\""
        ));
    }
    (Some(scope) == hostname).then(|| {
        format!(
            "the scope \"{scope}\" is the name of this node: take one that all nodes of the cluster have, and no other cluster"
        )
    })
}
