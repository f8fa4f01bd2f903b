// SPDX-License-Identifier: GPL-2.0-only

//! Which of the hosts on a manifest asks.
//!
//! Most are found as they were listed. What has come of the others is kept here: who was heard, by
//! flags that are only ever set, and who may have become whom, under a spinlock that hooks take;
//! nothing is called under it.

use crate::{
    ledger::{
        holder::Alias,
        Ledger, //
    },
    policy::{
        state::client::Host,
        verdict::{
            Request,
            What, //
        },
    },
    sys::net::Net, //
};
use kernel::{
    new_spinlock,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        SpinLock, //
    },
};

/// What is known of the hosts since they were listed.
#[pin_data]
pub(super) struct Met {
    /// For each host, whether it was heard as it was listed. Who looks like it is another then.
    heard: KVVec<Atomic<bool>>,
    #[pin]
    aliases: SpinLock<KVVec<Alias>>,
}

impl Met {
    /// Nobody was met yet. May sleep.
    pub(super) fn new(ledger: &Ledger) -> Result<impl PinInit<Self>> {
        let hosts = ledger.host_numbers();
        let mut heard = KVVec::with_capacity(hosts, GFP_KERNEL)?;
        for _ in 0..hosts {
            heard.push(Atomic::new(false), GFP_KERNEL)?;
        }
        let aliases = KVVec::from_elem(Alias::default(), hosts, GFP_KERNEL)?;
        Ok(pin_init!(Self {
            heard,
            aliases <- new_spinlock!(aliases),
        }))
    }

    /// The number of the host that asks; [`None`] if it is not listed. Does not sleep.
    ///
    /// `net` is where hosts may have come to by a move: without it they are what they were.
    pub(super) fn asks(
        &self,
        ledger: &Ledger,
        request: &Request<'_>,
        net: Option<Net>,
    ) -> Option<u32> {
        if matches!(request.what, What::Unclear | What::Nfs4(..) | What::Other) {
            return None;
        }
        let host = request.host()?;
        self.number(ledger, &host, request.name, net, |alias| {
            alias.admits(&host, request.op, request.process())
        })
    }

    /// The number of a host that holds something.
    pub(super) fn holds(
        &self,
        ledger: &Ledger,
        host: &Host,
        name: &[u8],
        net: Option<Net>,
    ) -> Option<u32> {
        self.number(ledger, host, name, net, |alias| alias.known() == Some(host))
    }

    fn number(
        &self,
        ledger: &Ledger,
        host: &Host,
        name: &[u8],
        net: Option<Net>,
        admits: impl FnOnce(&mut Alias) -> bool,
    ) -> Option<u32> {
        let hosts = ledger.hosts();
        let heard = &self.heard;
        if let Some(number) = hosts.very(host) {
            if let Some(heard) = heard.get(number as usize) {
                if !heard.load(Relaxed) {
                    heard.store(true, Relaxed);
                }
            }
            return Some(number);
        }
        let net = net?;
        let number = hosts.like(host, name, |server| net.has(server))?;
        if heard.get(number as usize)?.load(Relaxed) {
            return None;
        }
        let mut aliases = self.aliases.lock();
        admits(aliases.get_mut(number as usize)?).then_some(number)
    }

    /// The host that asks reclaims what is listed of host number `number`. Does not sleep.
    pub(super) fn bind(&self, ledger: &Ledger, number: u32, request: &Request<'_>) {
        let Some(host) = request.host() else {
            return;
        };
        if ledger.hosts().very(&host) != Some(number) {
            if let Some(alias) = self.aliases.lock().get_mut(number as usize) {
                alias.bind(&host);
            }
        }
    }

    /// Who host number `number` is by now, if it has changed.
    pub(super) fn became(&self, number: u32) -> Option<Host> {
        self.aliases.lock().get(number as usize)?.known().copied()
    }
}
