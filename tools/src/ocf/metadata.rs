// SPDX-License-Identifier: GPL-2.0-only

//! What the agent says of itself, by ra-api-1.dtd.

/// The meta-data.
pub fn text() -> String {
    let mut parameters = String::new();
    for (name, attributes, kind, short, long) in PARAMETERS {
        parameters += &format!(
            "<parameter name=\"{name}\" {attributes}>\n\
             <longdesc lang=\"en\">{long}</longdesc>\n\
             <shortdesc lang=\"en\">{short}</shortdesc>\n\
             <content {kind} />\n\
             </parameter>\n"
        );
    }
    format!(
        "<?xml version=\"1.0\"?>\n\
         <!DOCTYPE resource-agent SYSTEM \"ra-api-1.dtd\">\n\
         <resource-agent name=\"nfslocks\" version=\"{}\">\n\
         <version>1.0</version>\n\
         <longdesc lang=\"en\">\n{LONG}</longdesc>\n\
         <shortdesc lang=\"en\">{SHORT}</shortdesc>\n\
         <parameters>\n{parameters}</parameters>\n\
         <actions>\n{ACTIONS}</actions>\n\
         </resource-agent>\n",
        env!("CARGO_PKG_VERSION")
    )
}

const SHORT: &str = "Locks of NFS clients on a filesystem that moves";

const LONG: &str = "\
Moves the locks of NFS clients with a filesystem and its floating IPs, by the kernel module nfs_failover.
Put it into a group behind the filesystem and its exports and before its addresses:

  Filesystem, exportfs (one or more), nfslocks, IPaddr2 (one or more)

start gives the filesystem a grace period of its own, in which clients reclaim their locks, and has them
told when the address is up. stop comes when the address is down: it drops the locks, and leaves a list of
them on the filesystem for the next node. It fails only if locks may still be held or granted here; then
the node has to be fenced. nfsd runs on all nodes, outside of the group.
";

type Parameter = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

const PARAMETERS: [Parameter; 5] = [
    (
        "service",
        "unique=\"1\" required=\"1\"",
        "type=\"string\"",
        "Service",
        "Name of a service in the configuration file. If others have the same path, as a filesystem with several \
         floating IPs has, or the same ip, as filesystems behind one have, all of them are meant: one resource is \
         enough.",
    ),
    (
        "config",
        "unique=\"0\" required=\"0\"",
        "type=\"string\" default=\"/etc/nfs-failover.toml\"",
        "Configuration file",
        "The configuration file, the same on all nodes.",
    ),
    (
        "grace",
        "unique=\"0\" required=\"0\"",
        "type=\"integer\"",
        "Seconds of a recovery",
        "For how many seconds clients may reclaim their locks, if not as the configuration file says.",
    ),
    (
        "notify_timeout",
        "unique=\"0\" required=\"0\"",
        "type=\"integer\" default=\"900\"",
        "Seconds to tell clients",
        "For how many seconds clients that do not answer are told again, as long as they can reclaim.",
    ),
    (
        "expire_nfs4",
        "unique=\"0\" required=\"0\"",
        "type=\"boolean\" default=\"false\"",
        "Expire NFSv4 clients that have something elsewhere",
        "An NFSv4 client that has mounted other filesystems of the node under the same name loses what it has \
         there if nfsd forgets it. If this is false, stop fails instead, and the node is fenced.",
    ),
];

const ACTIONS: &str = "\
<action name=\"start\" timeout=\"600s\" />
<action name=\"stop\" timeout=\"600s\" />
<action name=\"monitor\" depth=\"0\" timeout=\"30s\" interval=\"10s\" />
<action name=\"monitor\" depth=\"10\" timeout=\"60s\" interval=\"60s\" />
<action name=\"meta-data\" timeout=\"5s\" />
<action name=\"validate-all\" timeout=\"30s\" />
";
