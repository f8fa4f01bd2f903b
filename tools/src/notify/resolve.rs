// SPDX-License-Identifier: GPL-2.0-only

//! Looking up names without waiting for them. A look-up cannot be interrupted, so each is done by
//! a thread, which is left behind if nobody wants the answer any more.

use dns_lookup::LookupErrorKind;
use std::collections::VecDeque;
use std::net::{
    IpAddr,
    SocketAddr, //
};
use std::sync::mpsc::{
    self,
    Receiver, //
};
use std::sync::{
    Arc,
    Mutex, //
};
use std::thread;
use std::time::Duration;

const THREADS: usize = 32;

/// `NI_NAMEREQD`: an address is no name.
const NAME_REQUIRED: i32 = nix::libc::NI_NAMEREQD;

/// How long to leave a name server alone that has not answered.
const PAUSE: Duration = Duration::from_secs(1);

/// Looks up the addresses of names, again and again where name servers do not answer. Each answer
/// has the number that came with the name.
pub fn addresses(names: Vec<(usize, String)>) -> Receiver<(usize, Vec<SocketAddr>)> {
    let (send, receive) = mpsc::channel();
    let threads = THREADS.min(names.len());
    let queue = Arc::new(Mutex::new(VecDeque::from(names)));
    for _ in 0..threads {
        let (send, queue) = (send.clone(), Arc::clone(&queue));
        thread::spawn(move || loop {
            let next = queue.lock().ok().and_then(|mut queue| queue.pop_front());
            let Some((at, name)) = next else { return };
            if let Some(found) = look_up(&name) {
                if send.send((at, found)).is_err() {
                    return;
                }
                continue;
            }
            thread::sleep(PAUSE);
            if let Ok(mut queue) = queue.lock() {
                queue.push_back((at, name));
            }
        });
    }
    receive
}

/// The addresses of a name; [`None`] if nobody can tell at the moment.
fn look_up(name: &str) -> Option<Vec<SocketAddr>> {
    match dns_lookup::getaddrinfo(Some(name), None, None) {
        Ok(found) => {
            let mut addresses: Vec<_> = found.flatten().map(|found| found.sockaddr).collect();
            // Each is there for every type of socket.
            addresses.dedup();
            Some(addresses)
        }
        Err(error) => match error.kind() {
            LookupErrorKind::NoName | LookupErrorKind::NoData => Some(Vec::new()),
            _ => None,
        },
    }
}

/// Looks up the name of an address.
pub fn name(ip: IpAddr) -> Receiver<Option<String>> {
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let found = dns_lookup::getnameinfo(&SocketAddr::new(ip, 0), NAME_REQUIRED);
        let _ = send.send(found.ok().map(|(name, _)| name));
    });
    receive
}
