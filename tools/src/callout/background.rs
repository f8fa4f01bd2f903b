// SPDX-License-Identifier: GPL-2.0-only

//! What touches the filesystem is done by a process that statd does not wait for: the program that
//! it calls starts this one, and leaves it behind if it takes too long.
//!
//! It is a new program, not a fork: that needs no unsafe code.

use super::turn::{
    self,
    Turn, //
};
use super::{
    is_known,
    services_of,
    Pair, //
};
use crate::config::Config;
use crate::error::{
    Context,
    Error,
    Result, //
};
use crate::host::Host;
use crate::nfsd::Nfsd;
use crate::program;
use crate::records::places;
use crate::statedir::{
    bad_name,
    StateDir, //
};
use crate::syslog::{
    say,
    Level, //
};
use nix::fcntl::{
    Flock,
    FlockArg, //
};
use nix::unistd;
use std::fs;
use std::io::{
    self,
    BufRead,
    BufReader,
    Write, //
};
use std::os::fd::AsFd;
use std::process::{
    Command,
    Stdio, //
};
use std::thread::sleep;
use std::time::{
    Duration,
    Instant, //
};

const TRIES: u32 = 3600;
const PAUSE: Duration = Duration::from_secs(1);
const DONE: &str = "done";

/// What such a process said in time.
pub enum Said {
    /// It is done.
    Done,
    /// It did not work at once. It may be tried again.
    Failed(String),
    /// Nothing: it is still at it.
    Nothing,
}

/// Starts this program with `arguments`, and waits so long for it.
///
/// It ends up as nobody's child, so statd never gets one that it does not know.
pub fn start(arguments: &[String], input: Stdio, patience: Duration) -> Result<Said> {
    let context = || "cannot start another process".into();
    let mut child = Command::new("/proc/self/exe")
        .args(arguments)
        .current_dir("/")
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context(context)?;
    let Some(output) = child.stdout.take() else {
        return Ok(Said::Nothing);
    };
    if !program::wait_readable(output.as_fd(), patience).context(context)? {
        return Ok(Said::Nothing);
    }
    let mut line = String::new();
    let _ = BufReader::new(output).read_line(&mut line);
    Ok(match line.trim_end() {
        DONE => Said::Done,
        "" => Said::Failed("the process that should do it has died".into()),
        why => Said::Failed(why.into()),
    })
}

/// Says how it went to whoever started us. Returns whether there is still somebody.
fn answer(result: &Result<()>) -> bool {
    let line = match result {
        Ok(()) => DONE.into(),
        Err(error) => error.to_string().replace('\n', "; "),
    };
    writeln!(io::stdout(), "{line}").is_ok()
}

/// statd's sockets must not stay open when statd is restarted.
fn leave_statd() {
    let open: Vec<i32> = fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    for fd in open.into_iter().filter(|fd| *fd > 2) {
        let _ = unistd::close(fd);
    }
    let _ = unistd::setsid();
}

/// Records a client. statd does not call out again for one that it knows, so what does not work at
/// once is tried until it does, somebody else is at it, or the address has left.
pub fn record(config: &Config, host: &Host, client: &str, my_name: &str) -> Result<()> {
    leave_statd();
    let Some((ip, services)) = services_of(config, my_name) else {
        return Ok(());
    };
    let pair = Pair {
        client,
        ip,
        services,
        policy: config.on_record_failure,
        host,
    };
    let begin = Instant::now();
    let attempt = || {
        // Without it, it is only found out later that the filesystem does not answer.
        let _turn = Turn::wait(config, ip);
        pair.record_and_confirm()
    };
    let recorded = || {
        let seconds = begin.elapsed().as_secs();
        let text =
            format!("client {client} of floating IP {ip} is recorded now, after {seconds} s");
        say(Level::Notice, &text);
    };
    let mut last = attempt();
    if !answer(&last) && last.is_ok() {
        recorded();
    }
    if last.is_ok() || bad_name(client.as_bytes()).is_some() {
        return last;
    }
    let path = turn::file(config, &format!("{ip}-{client}"));
    let Ok(_lock) = Flock::lock(turn::open(&path)?, FlockArg::LockExclusiveNonblock) else {
        return Ok(());
    };
    for _ in 0..TRIES {
        sleep(PAUSE);
        if !path.exists() {
            // The way to stop this by hand.
            return last;
        }
        last = attempt();
        if last.is_ok() {
            recorded();
            break;
        }
        if Nfsd::new(&host.nfsd).is_floating(ip) == Ok(false) {
            say(Level::Notice, &format!("client {client} of floating IP {ip} is not tried any more: the address is not served here"));
            break;
        }
    }
    if let Err(error) = &last {
        say(
            Level::Critical,
            &format!("client {client} of floating IP {ip} is still NOT RECORDED: {error}"),
        );
    }
    let _ = fs::remove_file(&path);
    last
}

/// Removes the record of a client, in the turn that is our standard input.
pub fn forget(config: &Config, host: &Host, client: &str, my_name: &str) -> Result<()> {
    leave_statd();
    let result = services_of(config, my_name)
        .filter(|(ip, _)| !is_known(host, *ip, client))
        .ok_or_else(|| Error::new("it is needed again"))
        .and_then(|(_, services)| {
            places(host, &services).into_iter().try_for_each(|service| {
                StateDir::of(service)
                    .if_mounted(host)
                    .forget(client)
                    .map(drop)
            })
        });
    answer(&result);
    result
}
