// SPDX-License-Identifier: GPL-2.0-only

//! Whether a restart of nfsd would take locks from anybody.

use crate::doctor::finding::Sight;
use crate::doctor::sight;
use crate::host::Host;
use std::fs;
use std::io;

/// Who is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Served {
    /// It was seen that nobody is.
    Nobody,
    /// Somebody is: who.
    Somebody(String),
    /// It cannot be seen: why.
    Unseen(String),
}

impl Served {
    /// Looks. Before the module is loaded nobody knows which addresses clients have used.
    pub fn look(host: &Host) -> Self {
        let file = host.nfsd.join("floating_ips");
        let floating = sight::file(&file).and_then(|text| {
            text.ok_or_else(|| "nfs_failover was not loaded when nfsd began to serve".into())
        });
        let exports = sight::file(&host.proc().join("net/rpc/nfsd.export/content"));
        Self::judge(floating, exports, clients(host))
    }

    /// By the floating IPs that are active, the exports that nfsd has been asked for and the number of
    /// NFSv4 clients.
    pub fn judge(
        floating: Sight<String>,
        exports: Sight<Option<String>>,
        clients: Sight<usize>,
    ) -> Self {
        let lines = |text: &str| {
            let lines = text.lines().map(str::trim);
            // What is a remark there is what nobody may have.
            lines
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
                .count()
        };
        let mut who = Vec::new();
        let mut unseen = Vec::new();
        let mut judge = |seen: Sight<usize>, what: &str| match seen {
            Ok(0) => {}
            Ok(count) => who.push(format!("{count} {what}")),
            Err(why) => unseen.push(why),
        };
        judge(floating.map(|text| lines(&text)), "floating IPs");
        judge(
            exports.and_then(|text| match text {
                Some(text) => Ok(lines(&text)),
                None => Err("there is no list of the exports that clients use".into()),
            }),
            "exports that clients use",
        );
        judge(clients, "NFSv4 clients");
        match (who.is_empty(), unseen.is_empty()) {
            (false, _) => Self::Somebody(who.join(", ")),
            (true, false) => Self::Unseen(unseen.join("; ")),
            (true, true) => Self::Nobody,
        }
    }
}

/// nfsd has a directory for each. A kernel without the directory has no NFSv4 server.
fn clients(host: &Host) -> Sight<usize> {
    let dir = host.nfsd.join("clients");
    match fs::read_dir(&dir) {
        Ok(entries) => Ok(entries.count()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(format!("cannot read {}: {error}", dir.display())),
    }
}
