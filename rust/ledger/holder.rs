// SPDX-License-Identifier: GPL-2.0-only

//! Whose a lock is.
//!
//! lockd takes for one holder a process of a *host*, and for one host what comes from the same
//! address of a client to the same address of the server, by the same transport and version of the
//! protocol (`nlmsvc_lookup_host()`). A client that has mounted by two addresses numbers its
//! processes anew for each, so process 1 of one host is not process 1 of the other.
//!
//! A move can change a host. The client may come from another address than before, or find the
//! server under another one, if something in between translates addresses. Then no entry of the
//! list is of the very host, and [`Hosts::like`] finds the one that it may have been. It is no proof:
//! two containers can have the same name. What a client says next tells more, see [`Alias`].

use super::sort;
use crate::policy::{
    state::client::Host,
    verdict::Op, //
};
use core::net::IpAddr;

/// The hosts of a list.
pub(crate) struct Hosts<'a, T, N> {
    /// In the order of hosts, then of names.
    pub(crate) all: &'a [T],
    /// In the order of [`order_by_name`].
    pub(crate) by_name: &'a [u32],
    /// What one calls itself.
    pub(crate) name: N,
}

impl<'a, T: AsRef<Host>, N: Fn(&T) -> &'a [u8]> Hosts<'a, T, N> {
    /// The number of that very host: of the first of its elements.
    pub(crate) fn very(&self, host: &Host) -> Option<u32> {
        self.number(host).or_else(|| {
            self.number(&Host {
                server: None,
                ..*host
            })
        })
    }

    /// The number of the only host that `host`, which is not listed itself, may have been.
    ///
    /// That is one that can come so no more, because its address of the server is not `here`, if all
    /// else is the same. If nothing is listed of the client's address, it is one of the same `name`.
    pub(crate) fn like(
        &self,
        host: &Host,
        name: &[u8],
        here: impl Fn(IpAddr) -> bool,
    ) -> Option<u32> {
        let of_client = range(self.all, |it| it.as_ref().client.cmp(&host.client));
        if !of_client.is_empty() {
            let alike = range(of_client, |it| it.as_ref().transport.cmp(&host.transport));
            let it = only(alike, |it| *it.as_ref(), here)?;
            return self.number(&it);
        }
        if name.is_empty() {
            return None;
        }
        let at = |number: &u32| *self.all[*number as usize].as_ref();
        let alike = range(self.by_name, |number| {
            let it = &self.all[*number as usize];
            let by_name = (self.name)(it).cmp(name);
            by_name.then_with(|| it.as_ref().transport.cmp(&host.transport))
        });
        for server in [host.server, None] {
            let same = range(alike, |number| at(number).server.cmp(&server));
            if let (Some(first), Some(last)) = (same.first(), same.last()) {
                let it = at(first);
                return self.number(&it).filter(|_| it == at(last));
            }
        }
        self.number(&only(alike, at, here)?)
    }

    fn number(&self, host: &Host) -> Option<u32> {
        let at = self.all.partition_point(|it| it.as_ref() < host);
        (self.all.get(at)?.as_ref() == host).then_some(at as u32)
    }
}

/// Sorts the numbers of hosts by name, transport, address of the server, and of the client.
pub(crate) fn order_by_name<'a, T: AsRef<Host>>(
    all: &[T],
    name: impl Fn(&T) -> &'a [u8],
    numbers: &mut [u32],
) {
    sort::by(numbers, |a, b| {
        let key = |number: &u32| {
            let it = &all[*number as usize];
            let host = it.as_ref();
            (name(it), host.transport, host.server, host.client)
        };
        key(a) < key(b)
    });
}

/// Those of `items`, which are sorted, that `compare` equal.
fn range<T>(items: &[T], compare: impl Fn(&T) -> core::cmp::Ordering) -> &[T] {
    let from = items.partition_point(|item| compare(item).is_lt());
    let rest = &items[from..];
    &rest[..rest.partition_point(|item| compare(item).is_eq())]
}

/// The only host of `items` whose address of the server is not `here`. They are sorted by that
/// first, of which there are few.
fn only<T>(
    mut items: &[T],
    host: impl Fn(&T) -> Host,
    here: impl Fn(IpAddr) -> bool,
) -> Option<Host> {
    let mut found = None;
    while let Some(first) = items.first() {
        let first = host(first);
        let same = range(items, |item| host(item).server.cmp(&first.server));
        items = &items[same.len()..];
        if first.server.is_some_and(&here) {
            continue;
        }
        if found.is_some() || same.last().map(&host) != Some(first) {
            return None;
        }
        found = Some(first);
    }
    found
}

/// Who may have become a host that is listed.
///
/// Whoever reclaims something that is listed of it, held that, and is it from then on. Until then
/// nobody is: somebody new, who happens to look like it, asks for new locks, which must not be
/// taken for its own. But who gives up something for a process that has asked for nothing yet, had
/// it before.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Alias {
    it: Option<Host>,
    /// Processes that asked for something new: bit `process % 64`.
    asked: u64,
}

impl Alias {
    /// Whether `host` is the one that is listed, as far as it can be believed.
    pub(crate) fn admits(&mut self, host: &Host, op: Op, process: u32) -> bool {
        if self.it.is_some() {
            return self.known() == Some(host);
        }
        let bit = 1 << (process % 64);
        match op {
            Op::Reclaim => true,
            Op::Release => self.asked & bit == 0,
            Op::New | Op::Return => {
                self.asked |= bit;
                false
            }
        }
    }

    /// The host reclaims what is listed.
    pub(crate) fn bind(&mut self, host: &Host) {
        self.it = self.it.or(Some(*host));
    }

    /// Who it is.
    pub(crate) fn known(&self) -> Option<&Host> {
        self.it.as_ref()
    }
}

#[cfg(test)]
mod tests;
