// SPDX-License-Identifier: GPL-2.0-only

//! Programs of the system. None is waited for without end: a lock that somebody else has, or a disk
//! that does not answer, would keep clients waiting that the move has cut off.

use crate::error::{
    text,
    Context,
    Error,
    Result, //
};
use crate::signals;
use crate::syslog;
use nix::errno::Errno;
use nix::poll::{
    poll,
    PollFd,
    PollFlags,
    PollTimeout, //
};
use nix::sys::signal::{
    killpg,
    Signal, //
};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fs::File;
use std::io::{
    self,
    Read, //
};
use std::os::fd::{
    AsFd,
    BorrowedFd,
    OwnedFd, //
};
use std::os::unix::process::CommandExt;
use std::process::{
    Child,
    Command,
    ExitStatus,
    Stdio, //
};
use std::thread::sleep;
use std::time::{
    Duration,
    Instant, //
};

/// How long a program that is told to end may take for that.
const END: Duration = Duration::from_secs(1);

/// How often it is looked whether one has ended.
const PAUSE: Duration = Duration::from_millis(10);

/// As much of what one says is kept.
const MAX_SAID: usize = 1 << 20;

/// How long a program may take.
fn limit(program: &str, arguments: &[&str]) -> Duration {
    Duration::from_secs(match program {
        // It waits until all of a unit has ended and begun, which nfsd takes its time for. What only
        // looks, or starts something while clients wait, is not given that.
        "systemctl" if arguments.first() == Some(&"restart") => 120,
        // A journal may have to be replayed, or much to be written.
        "mount" | "umount" => 120,
        // It waits for others of its kind, and may have names to look up: two name servers that do
        // not answer take 10 s each, and clients wait.
        "exportfs" => 20,
        _ => 15,
    })
}

/// Runs a program. What it says is in the error.
pub fn run(program: &str, arguments: &[&str]) -> Result<()> {
    output(program, arguments).map(drop)
}

/// Runs a program and returns its standard output.
pub fn output(program: &str, arguments: &[&str]) -> Result<String> {
    output_within(limit(program, arguments), program, arguments)
}

/// Runs a program that may take so long.
pub fn output_within(limit: Duration, program: &str, arguments: &[&str]) -> Result<String> {
    let line = format!("{program} {}", arguments.join(" "));
    let context = || format!("cannot run \"{line}\"");
    let begun = Instant::now();
    let mut child = command(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // What a terminal sends to us is not meant for it, and it is ended with all that it started.
        .process_group(0)
        .spawn()
        .context(context)?;
    let mut ears = Ears::new(&mut child);
    let Some(status) = ears.wait(&mut child, begun + limit).context(context)? else {
        let ended = end(&mut child, &mut ears).context(context)?;
        return Err(Error::timed_out(format!(
            "\"{line}\" took longer than {} s and {}; {}",
            limit.as_secs(),
            match ended {
                true => "was ended".into(),
                false => format!(
                    "cannot be ended, as it waits in the kernel (process {}): it may still do what it was to do",
                    child.id()
                ),
            },
            advice(program)
        )));
    };
    let [out, err] = ears.said;
    if status.success() {
        return Ok(String::from_utf8_lossy(&out).into());
    }
    let said = String::from_utf8_lossy(&err);
    let said = said.trim().replace('\n', "; ");
    Err(Error::new(format!("\"{line}\" failed ({status}): {said}")))
}

/// A program gets no signals that are held back: one of ours lets them through, and becomes it.
fn command(program: &str) -> Command {
    if !signals::are_held() {
        return Command::new(program);
    }
    let mut command = Command::new("/proc/self/exe");
    command.args(["exec", "--", program]);
    command
}

/// That program. It does not return if it can be run.
pub fn become_program(words: &[OsString]) -> u8 {
    if let Err(error) = signals::let_through() {
        syslog::error(&error.to_string());
        return CANNOT_RUN;
    }
    let [program, arguments @ ..] = words else {
        return CANNOT_RUN;
    };
    let error = Command::new(program).args(arguments).exec();
    syslog::error(&text(&error));
    CANNOT_RUN
}

/// The exit status of a shell then.
const CANNOT_RUN: u8 = 127;

fn advice(program: &str) -> &'static str {
    match program {
        "exportfs" => "perhaps somebody has its lock (\"fuser -v /var/lib/nfs/export-lock /var/lib/nfs/.etab.lock\"), or a name server does not answer",
        "mount" | "umount" => "see in the kernel's log whether the disk answers",
        _ => "see what it waits for",
    }
}

/// Ends a program. Returns whether it is gone: who sleeps in the kernel is left behind.
fn end(child: &mut Child, ears: &mut Ears) -> io::Result<bool> {
    let group = Pid::from_raw(child.id() as i32);
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        // It may just have ended.
        let _ = killpg(group, signal);
        if ears.wait(child, Instant::now() + END)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What a program says.
struct Ears {
    pipes: [Option<File>; 2],
    said: [Vec<u8>; 2],
}

impl Ears {
    fn new(child: &mut Child) -> Self {
        let out = child.stdout.take().map(OwnedFd::from);
        let err = child.stderr.take().map(OwnedFd::from);
        Self {
            pipes: [out.map(File::from), err.map(File::from)],
            said: Default::default(),
        }
    }

    /// Listens until the program has ended. [`None`] if it has not by then.
    fn wait(&mut self, child: &mut Child, deadline: Instant) -> io::Result<Option<ExitStatus>> {
        loop {
            self.listen(PAUSE);
            if let Some(status) = child.try_wait()? {
                // What it has started may have its pipes, and stay.
                while self.listen(Duration::ZERO) {}
                return Ok(Some(status));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
        }
    }

    /// Takes what is there. Returns whether something was.
    fn listen(&mut self, patience: Duration) -> bool {
        let open: Vec<_> = (0..2).filter(|at| self.pipes[*at].is_some()).collect();
        if open.is_empty() {
            sleep(patience);
            return false;
        }
        let pipes = self.pipes.iter().flatten();
        let mut fds: Vec<_> = pipes
            .map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN))
            .collect();
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::ZERO);
        if poll(&mut fds, timeout).unwrap_or(0) == 0 {
            return false;
        }
        let ready: Vec<_> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        let mut any = false;
        for (at, _) in open.into_iter().zip(ready).filter(|(_, ready)| *ready) {
            let Some(pipe) = &mut self.pipes[at] else {
                continue;
            };
            let mut piece = [0; 4096];
            match pipe.read(&mut piece) {
                Ok(length) if length > 0 => {
                    let room = MAX_SAID.saturating_sub(self.said[at].len());
                    self.said[at].extend(&piece[..length.min(room)]);
                    any = true;
                }
                _ => self.pipes[at] = None,
            }
        }
        any
    }
}

/// Waits for something to be read. Returns whether there is.
pub fn wait_readable(fd: BorrowedFd<'_>, patience: Duration) -> nix::Result<bool> {
    wait_for(fd, PollFlags::POLLIN, patience)
}

/// Waits for an event. Returns whether it has come.
pub fn wait_for(fd: BorrowedFd<'_>, event: PollFlags, patience: Duration) -> nix::Result<bool> {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(fd, event)], timeout) {
            // Whoever is stopped and goes on gets this, too.
            Err(Errno::EINTR) => {}
            other => return other.map(|ready| ready > 0),
        }
    }
}

/// Whether a program can be found where commands are looked for.
pub fn exists(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(name).is_file())
}
