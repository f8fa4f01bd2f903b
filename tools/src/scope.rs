// SPDX-License-Identifier: GPL-2.0-only

//! The NFSv4 server scope of this node, looked at before a move. A client of NFSv4.1 or 4.2 that finds
//! another scope than before does not try to reclaim (RFC 8881, section 2.10.4).

use crate::doctor::finding::Sight;
use crate::doctor::{
    server,
    sight, //
};
use crate::host::Host;
use crate::services;

/// What is the case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Nobody asks for it: nfsd serves neither NFSv4.1 nor 4.2, or does not run, which others say.
    Unused,
    /// It is not the name of this node. Whether the others have the same, `doctor --compare` says.
    Common,
    /// No other node has it.
    OfThisNode(String),
    /// It could not be seen.
    Unknown(String),
}

/// Looks. Only netlink tells it, so a program is run, and not waited for without end.
pub fn look(host: &Host) -> Scope {
    if services::has_no_threads(host) {
        return Scope::Unused;
    }
    match sight::text(&host.nfsd.join("versions")) {
        Err(why) => Scope::Unknown(why),
        Ok(versions) if !matters(&versions) => Scope::Unused,
        Ok(_) => {
            let hostname = sight::text(&host.proc().join("sys/kernel/hostname"));
            judge(server::scope(), hostname)
        }
    }
}

/// Whether a client may ask for it, by what nfsd's `versions` says. It has no word for 4.0 if that is
/// served.
pub fn matters(versions: &str) -> bool {
    let mut words = versions.split_whitespace();
    words.any(|word| word.starts_with("+4.") && word != "+4.0")
}

/// Judges.
pub fn judge(scope: Sight<String>, hostname: Sight<String>) -> Scope {
    match (scope, hostname) {
        (Err(why), _) => Scope::Unknown(why),
        (Ok(scope), _) if scope.is_empty() => Scope::OfThisNode(scope),
        (Ok(_), Err(why)) => Scope::Unknown(why),
        (Ok(scope), Ok(hostname)) if scope == hostname => Scope::OfThisNode(scope),
        _ => Scope::Common,
    }
}

/// The command that mends it.
const SETUP: &str = "\"nfs-failoverctl setup --scope NAME\", the same on all nodes";

impl Scope {
    /// What is wrong, what that costs, and what mends it: before something comes here.
    pub fn problem_of_takeover(&self) -> Option<String> {
        let of = self.of_this_node()?;
        Some(format!(
            "{of}: NFSv4.1 and 4.2 clients that come from another node do not reclaim here, and lose their locks. {SETUP}, restarts nfs-server, so such clients of what this node serves already lose theirs: move that away first"
        ))
    }

    /// The same before something leaves.
    pub fn problem_of_release(&self) -> Option<String> {
        let of = self.of_this_node()?;
        Some(format!(
            "{of}: NFSv4.1 and 4.2 clients do not reclaim on the next node, and lose their locks. {SETUP}, restarts nfs-server and costs them the same, but only once: do it when they need none"
        ))
    }

    /// The same before anything is moved.
    pub fn problem(&self) -> Option<String> {
        let of = self.of_this_node()?;
        Some(format!(
            "{of}: NFSv4.1 and 4.2 clients do not reclaim after a move, and lose their locks"
        ))
    }

    fn of_this_node(&self) -> Option<String> {
        match self {
            Self::OfThisNode(scope) if scope.is_empty() => Some("nfsd has no scope".into()),
            Self::OfThisNode(scope) => Some(format!(
                "nfsd has the scope of this node alone, \"{scope}\""
            )),
            _ => None,
        }
    }

    /// What is to be known although it is no reason to stop.
    pub fn note(&self) -> Option<String> {
        match self {
            Self::Unknown(why) => Some(format!(
                "nfsd's scope is not known ({why}): if other nodes have another one, NFSv4.1 and 4.2 clients lose their locks"
            )),
            _ => None,
        }
    }
}
