// SPDX-License-Identifier: GPL-2.0-only

//! One call over a TCP connection of its own. Nothing here waits.

use nix::poll::PollFlags;
use socket2::{
    Domain,
    Socket,
    Type, //
};
use std::io::{
    self,
    Read,
    Write, //
};
use std::net::{
    IpAddr,
    SocketAddr, //
};
use std::os::fd::{
    AsFd,
    BorrowedFd, //
};
use std::time::{
    Duration,
    Instant, //
};

/// How long a client may take to accept the connection: one SYN may be lost.
const ACCEPT: Duration = Duration::from_secs(3);

/// How long statd may take to answer: it may be waiting for a name server.
const ANSWER: Duration = Duration::from_secs(15);

/// The longest answer.
const MAX: usize = 4096;

/// The bit of a record mark that says that no fragment follows (RFC 5531, section 11).
const LAST: u32 = 1 << 31;

/// A connection, and the call that is made over it.
pub struct Connection {
    socket: Socket,
    /// What is still to be sent.
    call: Vec<u8>,
    answer: Vec<u8>,
    accepted: bool,
    deadline: Instant,
}

/// What became of it so far.
pub enum Progress {
    /// There is more to come.
    Waiting,
    /// The answer.
    Answered(Vec<u8>),
    /// There will be none.
    Failed,
}

impl Connection {
    /// Begins to connect from `ip` and one of the ports.
    pub fn new(
        ip: IpAddr,
        ports: impl Iterator<Item = u16>,
        to: SocketAddr,
        call: &[u8],
        now: Instant,
    ) -> io::Result<Self> {
        let socket = connecting(ip, ports, to)?;
        let mut record = (LAST | call.len() as u32).to_be_bytes().to_vec();
        record.extend(call);
        Ok(Self {
            socket,
            call: record,
            answer: Vec::new(),
            accepted: false,
            deadline: now + ACCEPT,
        })
    }

    /// When it has failed if nothing happens.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What to wait for.
    pub fn wants(&self) -> PollFlags {
        if self.call.is_empty() {
            PollFlags::POLLIN
        } else {
            PollFlags::POLLOUT
        }
    }

    /// To wait for that.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Does what can be done now.
    pub fn go_on(&mut self, now: Instant) -> Progress {
        match self.advance(now) {
            Ok(None) if now < self.deadline => Progress::Waiting,
            Ok(Some(answer)) => Progress::Answered(answer),
            Err(error) if would_block(&error) && now < self.deadline => Progress::Waiting,
            _ => Progress::Failed,
        }
    }

    fn advance(&mut self, now: Instant) -> io::Result<Option<Vec<u8>>> {
        while !self.call.is_empty() {
            let sent = self.socket.write(&self.call)?;
            self.call.drain(..sent);
        }
        if !self.accepted {
            self.accepted = true;
            self.deadline = now + ANSWER;
        }
        let mut buffer = [0; MAX];
        let length = self.socket.read(&mut buffer)?;
        self.answer.extend(&buffer[..length]);
        match record(&self.answer) {
            None if length == 0 || self.answer.len() > MAX => {
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            record => Ok(record),
        }
    }
}

/// The record at the beginning of what was received, if all its fragments are there.
pub fn record(mut stream: &[u8]) -> Option<Vec<u8>> {
    let mut record = Vec::new();
    loop {
        let (mark, rest) = stream.split_first_chunk()?;
        let mark = u32::from_be_bytes(*mark);
        let (fragment, rest) = rest.split_at_checked((mark & !LAST) as usize)?;
        record.extend(fragment);
        if mark & LAST != 0 {
            return Some(record);
        }
        stream = rest;
    }
}

/// A socket that is being connected.
fn connecting(ip: IpAddr, ports: impl Iterator<Item = u16>, to: SocketAddr) -> io::Result<Socket> {
    for port in ports {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        // A port serves for many connections, as long as each goes somewhere else.
        socket.set_reuse_address(true)?;
        // And for the next one to the same client: ports below 1024 are few.
        socket.set_linger(Some(Duration::ZERO))?;
        let begun = socket
            .bind(&SocketAddr::new(ip, port).into())
            .and_then(|()| socket.connect(&to.into()));
        match begun {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable
                ) => {}
            Err(error) if !would_block(&error) => return Err(error),
            _ => return Ok(socket),
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

fn would_block(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.kind() == io::ErrorKind::Interrupted
        || error.raw_os_error() == Some(nix::libc::EINPROGRESS)
}
