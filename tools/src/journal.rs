// SPDX-License-Identifier: GPL-2.0-only

//! One line of each move in the system journal, with fields that programs can look for:
//! `journalctl SYSLOG_IDENTIFIER=nfs-failoverctl NFS_FAILOVER_ACTION=takeover -o json`. And the last
//! move of each service, for `status`.

use crate::host::Host;
use crate::syslog;
use serde::{
    Deserialize,
    Serialize, //
};
use std::fs;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

/// What is the same in all lines about moves, and in no other.
const MESSAGE_ID: &str = "5d1f0e6c7b3a4c0f9a3c2f4e8d6b1a97";

/// What became of a move on this node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Move {
    /// `release` or `takeover`.
    pub action: String,
    /// Name of the service.
    pub service: String,
    /// Its floating IP.
    pub ip: String,
    /// Its fsid, if it is known.
    pub fsid: Option<String>,
    /// When it was over, in seconds since 1970.
    pub time: u64,
    /// How long it took; of that, telling clients.
    pub seconds: f64,
    /// How many locks and shares were dropped, or are on the list that came along.
    pub locks: Option<u64>,
    /// How many were reclaimed, and refused, by the end of the command.
    pub reclaimed: Option<u64>,
    /// How many were refused by then.
    pub refused: Option<u64>,
    /// How many clients were told, and how many of them have answered.
    pub told: Option<u64>,
    /// How many clients have answered.
    pub answered: Option<u64>,
    /// The exit status.
    pub exit: u8,
}

impl Move {
    /// In words.
    pub fn message(&self) -> String {
        let mut text = format!(
            "{} of {} {} after {:.1} s",
            self.action,
            self.service,
            match self.exit {
                0 => "done",
                3 => "done, NOT COMPLETE,",
                _ => "FAILED",
            },
            self.seconds
        );
        if let Some(locks) = self.locks {
            text += &format!(", {locks} locks and shares");
        }
        if let (Some(answered), Some(told)) = (self.answered, self.told) {
            text += &format!(", {answered} of {told} clients have answered");
        }
        text
    }

    /// As journald takes it.
    pub fn datagram(&self) -> Vec<u8> {
        let priority = match self.exit {
            0 => 5,
            3 => 4,
            _ => 3,
        };
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        let fields = [
            ("MESSAGE", Some(self.message())),
            ("MESSAGE_ID", Some(MESSAGE_ID.into())),
            ("PRIORITY", Some(priority.to_string())),
            ("SYSLOG_IDENTIFIER", Some("nfs-failoverctl".into())),
            ("NFS_FAILOVER_ACTION", Some(self.action.clone())),
            ("SERVICE", Some(self.service.clone())),
            ("IP", Some(self.ip.clone())),
            ("FSID", self.fsid.clone()),
            ("SECONDS", Some(format!("{:.3}", self.seconds))),
            ("LOCKS", number(self.locks)),
            ("RECLAIMED", number(self.reclaimed)),
            ("REFUSED", number(self.refused)),
            ("CLIENTS", number(self.told)),
            ("ANSWERED", number(self.answered)),
            ("EXIT_CODE", Some(self.exit.to_string())),
        ];
        let mut text = Vec::new();
        for (key, value) in fields {
            if let Some(value) = value {
                field(&mut text, key, &value);
            }
        }
        text
    }

    /// Writes it down. Nothing can be done if that does not work.
    pub fn log(&self, host: &Host) {
        let socket = host.root.join("run/systemd/journal/socket");
        let sent = UnixDatagram::unbound().and_then(|from| {
            // It may be full; nobody waits for it.
            from.set_nonblocking(true)?;
            from.send_to(&self.datagram(), socket)
        });
        if sent.is_err() {
            syslog::note(&self.message());
        }
        let _ = self.keep(host);
    }

    fn keep(&self, host: &Host) -> io::Result<()> {
        let file = place(host, &self.service);
        if let Some(dir) = file.parent() {
            fs::create_dir_all(dir)?;
        }
        // It is about this boot only, so it need not be durable; but it is whole.
        let beside = file.with_extension("new");
        fs::write(&beside, serde_json::to_string(self)?)?;
        fs::rename(beside, file)
    }

    /// The last one of a service on this node since it was booted.
    pub fn last(host: &Host, service: &str) -> Option<Self> {
        serde_json::from_str(&fs::read_to_string(place(host, service)).ok()?).ok()
    }
}

/// A name may have any letters.
fn place(host: &Host, service: &str) -> PathBuf {
    let mut name = String::new();
    for byte in service.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => name.push(char::from(byte)),
            _ => name += &format!("%{byte:02x}"),
        }
    }
    let dir = host.root.join("run/nfs-failover");
    dir.join(format!("move-{name}.json"))
}

/// A field, in the native protocol of journald: what has several lines comes with its length.
pub fn field(text: &mut Vec<u8>, key: &str, value: &str) {
    text.extend(key.as_bytes());
    if value.contains('\n') {
        text.push(b'\n');
        text.extend((value.len() as u64).to_le_bytes());
    } else {
        text.push(b'=');
    }
    text.extend(value.as_bytes());
    text.push(b'\n');
}
