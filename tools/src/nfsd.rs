// SPDX-License-Identifier: GPL-2.0-only

//! The module's control files, see Documentation/ABI/testing/procfs-nfs-failover.

use crate::error::{
    Context,
    Error,
    Result, //
};
use crate::program::wait_for;
use crate::status::line::Status;
use nix::libc;
use nix::poll::PollFlags;
use nix::unistd::close;
use std::fs::{
    self,
    File,
    OpenOptions, //
};
use std::io::{
    Read,
    Write, //
};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::os::unix::fs::chown;
use std::path::{
    Path,
    PathBuf, //
};
use std::thread::sleep;
use std::time::Duration;

/// Where it is mounted.
pub const DEFAULT_DIR: &str = "/proc/fs/nfsd";

/// The nfsd filesystem.
#[derive(Clone, Debug)]
pub struct Nfsd {
    dir: PathBuf,
}

/// A line of `floating_ips`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FloatingIp {
    /// The address.
    pub ip: IpAddr,
    /// The line as it was read.
    pub line: String,
}

/// What the kernel knows of the clients of a floating IP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The clients that lock through it, or are on record.
    pub clients: Vec<KnownClient>,
    /// How often the record of a client was missed.
    pub lost: u64,
}

/// What the kernel knows of one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownClient {
    /// Its address.
    pub ip: IpAddr,
    /// It has locks, or had some not long ago.
    pub monitored: bool,
    /// Its record is durable, as far as the kernel was told.
    pub recorded: bool,
}

/// The most that a control file takes at once.
const MAX_WRITE: usize = 1 << 16;

/// What changes within that time of each other is looked at once.
const TOGETHER: Duration = Duration::from_millis(200);

/// What changes in `failover_status` from the time on when this was made.
#[derive(Debug)]
pub struct Changes(File);

impl Changes {
    /// Waits for the first change, and for some moments more. A module that is too old to tell of it has
    /// it wait all the time.
    pub fn wait(&self, at_most: Duration) {
        match wait_for(self.0.as_fd(), PollFlags::POLLPRI, at_most) {
            // Changes come together, and who looks keeps the commands that make them waiting.
            Ok(_) => sleep(TOGETHER.min(at_most)),
            Err(_) => sleep(at_most),
        }
    }
}

impl Known {
    /// Reads the answer of `floating_ips`. [`None`] if it does not end as it should.
    fn parse(answer: &str) -> Option<Self> {
        let Status { lines } = Status::parse(answer.as_bytes());
        let (end, lines) = lines.split_last().filter(|(end, _)| end.kind == "end")?;
        let clients = lines.iter().map(|line| {
            Some(KnownClient {
                ip: line.kind.strip_prefix("client=")?.parse().ok()?,
                monitored: line.get("monitored")? == "yes",
                recorded: line.get("recorded")? == "yes",
            })
        });
        let known = Self {
            clients: clients.collect::<Option<_>>()?,
            lost: end.number("lost")?,
        };
        (end.number("clients")? == known.clients.len() as u64).then_some(known)
    }
}

impl Nfsd {
    /// `/proc/fs/nfsd`, or what a test has instead.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.into() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Fails if the module is not there, or does not work.
    pub fn check(&self) -> Result<()> {
        if self.file("failover_status").exists() {
            return Ok(());
        }
        let dir = self.dir.display();
        Err(Error::new(if self.file("unlock_ip").exists() {
            format!("{dir} has no failover_status: load the module with \"modprobe nfs_failover\"")
        } else {
            format!("nothing is mounted on {dir}: start nfs-server, or \"mount -t nfsd nfsd {dir}\", and load the module with \"modprobe nfs_failover\"")
        }))
    }

    /// What is going on.
    pub fn status(&self) -> Result<Status> {
        Ok(Status::parse(&self.read("failover_status")?))
    }

    /// To wait for what changes from now on.
    pub fn changes(&self) -> Result<Changes> {
        self.check()?;
        let path = self.file("failover_status");
        let file = File::open(&path).context(|| format!("cannot open {}", path.display()))?;
        Ok(Changes(file))
    }

    fn read(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.file(name);
        fs::read(&path).context(|| format!("cannot read {}", path.display()))
    }

    /// Writes one command.
    pub fn command(&self, name: &str, command: &str) -> Result<()> {
        let path = self.file(name);
        let mut file = OpenOptions::new()
            .write(true)
            .open(&path)
            .context(|| format!("cannot open {}", path.display()))?;
        one_write(&mut file, command).context(|| refused(name, command))
    }

    /// Writes one command and reads what the kernel says to it.
    pub fn converse(&self, name: &str, command: &str) -> Result<String> {
        let path = self.file(name);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .context(|| format!("cannot open {}", path.display()))?;
        one_write(&mut file, command).context(|| refused(name, command))?;
        let mut answer = Vec::new();
        file.read_to_end(&mut answer).context(|| {
            format!(
                "cannot read the answer to \"{command}\" from {}",
                path.display()
            )
        })?;
        Ok(String::from_utf8_lossy(&answer).into())
    }

    /// Hands a manifest to the kernel, which acts when the last line has come.
    pub fn give_manifest(&self, text: &[u8]) -> std::io::Result<()> {
        let mut file: File = OpenOptions::new()
            .write(true)
            .open(self.file("lock_manifest"))?;
        file.write_all(text)
    }

    /// Hands a list of NFSv4 clients to the kernel, which acts when the last line has come, and says at
    /// the latest when the file is closed if it has not.
    pub fn give_clients(&self, text: &[u8]) -> std::io::Result<()> {
        let mut file: File = OpenOptions::new()
            .write(true)
            .open(self.file("nfs4_clients"))?;
        in_pieces(&mut file, text)?;
        close(file).map_err(Into::into)
    }

    /// What is held now. Must not be called while a unit is released: reading its manifest promises
    /// that nothing is granted here for a time.
    pub fn held(&self) -> Result<Vec<u8>> {
        self.read("lock_manifest")
    }

    /// Whether the module knows floating IPs.
    pub fn has_floating_ips(&self) -> bool {
        self.file("floating_ips").exists()
    }

    /// The floating IPs that are active.
    pub fn floating_ips(&self) -> Result<Vec<FloatingIp>> {
        let text = self.read("floating_ips")?;
        let text = String::from_utf8_lossy(&text);
        Ok(text
            .lines()
            .filter_map(|line| {
                let word = line
                    .split_whitespace()
                    .find_map(|w| w.strip_prefix("ip="))?;
                Some(FloatingIp {
                    ip: word.parse().ok()?,
                    line: line.into(),
                })
            })
            .collect())
    }

    /// Whether `ip` is one of them.
    pub fn is_floating(&self, ip: IpAddr) -> Result<bool> {
        Ok(self.floating_ips()?.iter().any(|known| known.ip == ip))
    }

    /// The clients of a floating IP, or only one of them. [`None`] if it is no floating IP here, or
    /// the module is too old to tell.
    pub fn known(&self, ip: IpAddr, only: Option<IpAddr>) -> Result<Option<Known>> {
        let only = only.map_or(String::new(), |client| format!(" {client}"));
        match self.converse("floating_ips", &format!("?{ip}{only}")) {
            Ok(answer) => Ok(Known::parse(&answer)),
            Err(error) if matches!(error.errno(), Some(libc::ENOENT | libc::EINVAL)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lets statd's callout confirm records, and ask for them.
    pub fn give_floating_ips_to(&self, user: (u32, u32)) -> Result<()> {
        let path = self.file("floating_ips");
        chown(&path, Some(user.0), Some(user.1))
            .context(|| format!("cannot give {} to statd's user", path.display()))
    }
}

fn one_write(file: &mut File, command: &str) -> std::io::Result<()> {
    let line = format!("{command}\n");
    match file.write(line.as_bytes())? {
        written if written == line.len() => Ok(()),
        _ => Err(std::io::ErrorKind::WriteZero.into()),
    }
}

/// Writes a text that is longer than what a control file takes at once.
pub fn in_pieces(into: &mut impl Write, text: &[u8]) -> std::io::Result<()> {
    text.chunks(MAX_WRITE)
        .try_for_each(|piece| into.write_all(piece))
}

fn refused(name: &str, command: &str) -> String {
    format!("the kernel refused \"{command}\" in {name}")
}

/// What an error number of a control file means.
pub fn meaning(errno: Option<i32>) -> &'static str {
    use nix::errno::Errno;
    match errno.map(Errno::from_raw) {
        Some(Errno::EINVAL) => "the text is damaged, cut off, or of another filesystem",
        Some(Errno::E2BIG) => "it has more than 262144 locks and shares",
        Some(Errno::ESTALE) => "a later release is known, it was used before, the filesystem was served since, or the module was loaded later: somebody may hold a lock that is not on it",
        Some(Errno::ETIMEDOUT) => "it is not valid any more",
        Some(Errno::ERANGE) => "it was taken in the future: set the clocks of the nodes",
        Some(Errno::EEXIST) => "the unit has one already",
        Some(Errno::EBUSY) => "the unit recovers without, and clients have reclaimed",
        Some(Errno::ENODEV) => "the kernel has stopped calling the module's hooks: see failover_status, reboot this node",
        Some(Errno::ENOSPC) => "64 units are active",
        Some(Errno::ENOMEM) => "no memory",
        _ => "see the ABI documentation",
    }
}
