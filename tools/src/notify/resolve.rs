// SPDX-License-Identifier: GPL-2.0-only

//! Looking up names without waiting for them. A look-up cannot be interrupted, so each is done by
//! a thread, which is left behind if nobody wants the answer any more.

use std::collections::VecDeque;
use std::net::{
    IpAddr,
    SocketAddr,
    ToSocketAddrs, //
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

const THREADS: usize = 32;

/// `NI_NAMEREQD`: an address is no name.
const NAME_REQUIRED: i32 = nix::libc::NI_NAMEREQD;

/// Looks up the addresses of names. Each answer has the number that came with the name.
pub fn addresses(names: Vec<(usize, String)>) -> Receiver<(usize, Vec<SocketAddr>)> {
    let (send, receive) = mpsc::channel();
    let threads = THREADS.min(names.len());
    let queue = Arc::new(Mutex::new(VecDeque::from(names)));
    for _ in 0..threads {
        let (send, queue) = (send.clone(), Arc::clone(&queue));
        thread::spawn(move || loop {
            let next = queue.lock().ok().and_then(|mut queue| queue.pop_front());
            let Some((at, name)) = next else { return };
            let found = (name.as_str(), 0).to_socket_addrs();
            let found = found.map(Iterator::collect).unwrap_or_default();
            if send.send((at, found)).is_err() {
                return;
            }
        });
    }
    receive
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
