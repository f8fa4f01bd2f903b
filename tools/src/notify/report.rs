// SPDX-License-Identifier: GPL-2.0-only

//! Who was told and who was not.

use crate::connections::tickle::Tickled;
use crate::syslog;
use serde::Serialize;
use std::fmt;
use std::net::IpAddr;

/// What became of a notification.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The floating IP.
    pub ip: IpAddr,
    /// The state number that was sent; none if there was nobody to send it to.
    pub state: Option<i32>,
    /// The recorded clients.
    pub clients: Vec<Client>,
    /// How long it took.
    pub seconds: f64,
    /// What became of connections to the node before.
    pub tickled: Tickled,
    /// Why it ended before all had answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// What was odd.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Whether all that is on record is a client that was to be told, and could reclaim when it was.
    pub complete: bool,
    /// Why not.
    #[serde(skip)]
    pub lacks: Vec<String>,
}

/// What became of one client.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Client {
    /// Its name on record.
    pub client: String,
    /// Whether it answered under every name of ours.
    pub answered: bool,
    /// When it answered first.
    pub seconds: Option<f64>,
    /// Packets that were sent to it.
    pub tries: u32,
    /// Why it did not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Report {
    /// Nobody was told yet.
    pub fn new(ip: IpAddr) -> Self {
        Self {
            ip,
            state: None,
            clients: Vec::new(),
            seconds: 0.0,
            tickled: Tickled::default(),
            ended: None,
            warnings: Vec::new(),
            complete: true,
            lacks: Vec::new(),
        }
    }

    /// Something is odd, which is said at once.
    pub fn warn(&mut self, why: String) {
        syslog::error(&format!("nfs-failoverctl: {why}"));
        self.warnings.push(why);
    }

    /// Not everybody is told, or not in time.
    pub fn lack(&mut self, why: impl Into<String>) {
        let why = why.into();
        self.complete = false;
        self.warnings.push(why.clone());
        self.lacks.push(why);
    }

    /// How many clients answered.
    pub fn answered(&self) -> usize {
        self.clients.iter().filter(|client| client.answered).count()
    }

    /// 0 if all answered, 3 if some did not, or perhaps not all were asked, or not in time.
    pub fn exit(&self) -> u8 {
        if self.complete && self.answered() == self.clients.len() {
            0
        } else {
            3
        }
    }
}

impl Report {
    fn of_connections(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = self.tickled.said();
        said.map_or(Ok(()), |said| write!(f, "\n  {said}"))
    }

    fn not_complete(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lacks = self.lacks.iter();
        lacks.try_for_each(|why| write!(f, "\n  NOT COMPLETE: {why}"))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(state) = self.state else {
            write!(
                f,
                "notify: no clients of {} are on record, nobody was told",
                self.ip
            )?;
            self.of_connections(f)?;
            return self.not_complete(f);
        };
        let all = self.clients.len();
        write!(
            f,
            "notify: {} of {all} clients of {} answered in {:.1} s, state number {state}",
            self.answered(),
            self.ip,
            self.seconds
        )?;
        if let Some(why) = &self.ended {
            write!(f, ", ended as {why}")?;
        }
        for client in self.clients.iter().filter(|client| !client.answered) {
            let reason = client.reason.as_deref().unwrap_or("it does not answer");
            write!(
                f,
                "\n  {}: {reason} ({} tries)",
                client.client, client.tries
            )?;
        }
        self.of_connections(f)?;
        self.not_complete(f)
    }
}
