// SPDX-License-Identifier: GPL-2.0-only

//! Directories in which others can write: those of the exported filesystem.
//!
//! A client that mounts it may be root there, and may change anything at any time. So no link is
//! followed and no name leads to another filesystem. What a name leads to is looked at before it is
//! opened: opening a pipe waits, and opening a device does what that device does.

use nix::errno::Errno;
use nix::fcntl::{
    fallocate,
    openat,
    openat2,
    renameat,
    renameat2,
    FallocateFlags,
    OFlag,
    OpenHow,
    RenameFlags,
    ResolveFlag, //
};
use nix::sys::stat::{
    mkdirat,
    Mode, //
};
use nix::unistd::{
    geteuid,
    unlinkat,
    UnlinkatFlags, //
};
use std::ffi::OsString;
use std::fs::{
    self,
    File,
    FileType,
    Metadata,
    OpenOptions,
    Permissions, //
};
use std::io::{
    self,
    Read,
    Write, //
};
use std::os::fd::{
    AsRawFd,
    OwnedFd, //
};
use std::os::unix::fs::{
    fchown,
    FileTypeExt,
    MetadataExt,
    OpenOptionsExt,
    PermissionsExt, //
};
use std::path::Path;
use std::sync::atomic::{
    AtomicU32,
    Ordering, //
};
use std::thread::sleep;
use std::time::Duration;

/// How names are looked up where others can write.
const STAY: ResolveFlag = ResolveFlag::RESOLVE_BENEATH
    .union(ResolveFlag::RESOLVE_NO_SYMLINKS)
    .union(ResolveFlag::RESOLVE_NO_MAGICLINKS)
    .union(ResolveFlag::RESOLVE_NO_XDEV);

const DIRECTORY: OFlag = OFlag::O_PATH
    .union(OFlag::O_DIRECTORY)
    .union(OFlag::O_CLOEXEC);

/// Longest file name.
const NAME_MAX: usize = 255;

/// An NFSv4 client that has a file delegated gives it back within this time, as a rule.
const DELEGATED: (u32, Duration) = (20, Duration::from_millis(100));

/// An open directory.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
}

/// A file that was read.
#[derive(Debug)]
pub struct Content {
    /// All of it.
    pub bytes: Vec<u8>,
    /// Of the very file that was read.
    pub metadata: Metadata,
}

impl Dir {
    /// Opens a directory by a path that only the administrator can change.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(DIRECTORY.bits())
            .open(path)?;
        Ok(Self { fd: file.into() })
    }

    /// Opens a directory that is named from the root, on whatever filesystem it is. There may be no
    /// link on the way.
    pub fn open_without_links(path: &Path) -> io::Result<Self> {
        let root = Self::open(Path::new("/"))?;
        let links = ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let how = OpenHow::new().flags(DIRECTORY).resolve(links);
        let fd = openat2(&root.fd, path, how).map_err(meaning)?;
        Ok(Self { fd })
    }

    /// Opens a directory below this one.
    pub fn sub(&self, path: &Path) -> io::Result<Self> {
        // An empty path is no path.
        let path = Path::new(".").join(path);
        let how = OpenHow::new().flags(DIRECTORY).resolve(STAY);
        let fd = openat2(&self.fd, &path, how).map_err(meaning)?;
        Ok(Self { fd })
    }

    /// The directory itself, to be listed, locked or made durable.
    pub fn file(&self) -> io::Result<File> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        Ok(openat(&self.fd, ".", flags, Mode::empty())?.into())
    }

    /// The number by which `/proc/self` knows it.
    pub fn number(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    /// Makes what was created, renamed or removed here durable.
    pub fn sync(&self) -> io::Result<()> {
        self.file()?.sync_all()
    }

    /// Owner, mode and so on of the directory.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.handle(".")?.metadata()
    }

    /// What a name is. A link is a link.
    pub fn look(&self, name: &str) -> io::Result<Metadata> {
        self.handle(name)?.metadata()
    }

    /// What a name leads to, without opening it.
    fn handle(&self, name: &str) -> io::Result<File> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let how = OpenHow::new().flags(flags).resolve(STAY);
        Ok(openat2(&self.fd, name, how).map_err(meaning)?.into())
    }

    /// Opens a file that is there, and nothing but a file.
    pub fn existing(&self, name: &str, write: bool) -> io::Result<File> {
        let handle = self.handle(name)?;
        let kind = handle.metadata()?.file_type();
        if !kind.is_file() {
            return Err(io::Error::other(format!("it is {}, no file", noun(kind))));
        }
        // The very same file, whatever the name is by now.
        let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
        let (tries, pause) = DELEGATED;
        let mut tried = 0;
        loop {
            let opened = OpenOptions::new()
                .read(!write)
                .write(write)
                .custom_flags(OFlag::O_NONBLOCK.bits())
                .open(&path);
            match opened {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && tried < tries => {
                    tried += 1;
                    sleep(pause);
                }
                other => return other,
            }
        }
    }

    /// Reads a file that is no larger than `limit`.
    pub fn read(&self, name: &str, limit: u64) -> io::Result<Content> {
        let mut file = self.existing(name, false)?;
        let metadata = file.metadata()?;
        let too_large = |size| {
            io::Error::other(format!(
                "it has {size} bytes, more than the {limit} that it can have"
            ))
        };
        if metadata.len() > limit {
            return Err(too_large(metadata.len()));
        }
        let mut bytes = Vec::new();
        // It may grow meanwhile.
        let size = (&mut file).take(limit + 1).read_to_end(&mut bytes)? as u64;
        if size > limit {
            return Err(too_large(size));
        }
        Ok(Content { bytes, metadata })
    }

    /// Creates an empty file. Returns none if there is something of that name already.
    pub fn create(&self, name: &str, mode: u32) -> io::Result<Option<File>> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let how = OpenHow::new()
            .flags(flags)
            .mode(Mode::from_bits_truncate(mode))
            .resolve(STAY);
        match openat2(&self.fd, name, how) {
            Ok(fd) => Ok(Some(fd.into())),
            Err(Errno::EEXIST) => Ok(None),
            Err(error) => Err(meaning(error)),
        }
    }

    /// Writes or replaces a file: after an error or a crash it is as before or complete. Others may
    /// write the same one at the same time.
    pub fn write(
        &self,
        name: &str,
        content: &[u8],
        mode: u32,
        owner: Option<(u32, u32)>,
    ) -> io::Result<()> {
        let (piece, file) = self.piece(name, mode)?;
        let written = fill(file, content, owner).and_then(|()| self.replace(&piece, name));
        if written.is_err() {
            // On a full filesystem it is in the way of others.
            let _ = self.unlink(&piece);
        }
        written
    }

    /// Writes a file into the room that another one of ours has, and gives that the name.
    pub fn fill(&self, room: &str, name: &str, content: &[u8]) -> io::Result<()> {
        let mut file = self.existing(room, true)?;
        let metadata = file.metadata()?;
        if !is_room(&metadata, content.len() as u64) {
            return Err(io::Error::other(
                "it is not large enough, or not ours alone",
            ));
        }
        file.write_all(content)?;
        file.set_len(content.len() as u64)?;
        file.sync_all()?;
        self.replace(room, name)
    }

    /// Makes a file that has this room on the disk, so that [`fill`](Self::fill) needs none.
    pub fn reserve(&self, room: &str, size: u64) -> io::Result<()> {
        let ready = self
            .look(room)
            .is_ok_and(|metadata| is_room(&metadata, size) && metadata.blocks() * 512 >= size);
        if ready {
            return Ok(());
        }
        let (piece, file) = self.piece(room, 0o600)?;
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let made = fallocate(&file, FallocateFlags::empty(), 0, size)
            .map_err(io::Error::from)
            .and_then(|()| file.sync_all())
            .and_then(|()| self.replace(&piece, room));
        if made.is_err() {
            let _ = self.unlink(&piece);
        }
        made
    }

    /// A new file of a name that nobody else uses.
    fn piece(&self, name: &str, mode: u32) -> io::Result<(String, File)> {
        loop {
            let piece = unused(name, "new");
            if let Some(file) = self.create(&piece, mode)? {
                return Ok((piece, file));
            }
        }
    }

    /// Renames a file durably over whatever is there.
    pub fn replace(&self, from: &str, to: &str) -> io::Result<()> {
        let renamed = match renameat(&self.fd, from, &self.fd, to) {
            Err(Errno::EISDIR | Errno::ENOTEMPTY | Errno::EEXIST | Errno::ENOTDIR) => {
                self.clear(to)?;
                renameat(&self.fd, from, &self.fd, to)
            }
            other => other,
        };
        renamed.map_err(meaning)?;
        self.sync()
    }

    /// Removes a file or link durably, or moves away a directory; returns whether there was one.
    pub fn remove(&self, name: &str) -> io::Result<bool> {
        let was = self.clear(name)?;
        if was {
            self.sync()?;
        }
        Ok(was)
    }

    fn unlink(&self, name: &str) -> nix::Result<()> {
        unlinkat(&self.fd, name, UnlinkatFlags::NoRemoveDir)
    }

    fn is_missing(&self, name: &str) -> bool {
        let error = self.look(name).err();
        error.is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    fn clear(&self, name: &str) -> io::Result<bool> {
        // To ask is possible on a filesystem that is read-only or frozen.
        if self.is_missing(name) {
            return Ok(false);
        }
        match self.unlink(name) {
            Ok(()) => return Ok(true),
            Err(Errno::ENOENT) => return Ok(false),
            // What is in a directory may be all that somebody has.
            Err(Errno::EISDIR) => {}
            Err(error) => return Err(meaning(error)),
        }
        loop {
            let away = unused(name, "away");
            match renameat2(
                &self.fd,
                name,
                &self.fd,
                away.as_str(),
                RenameFlags::RENAME_NOREPLACE,
            ) {
                Ok(()) => return Ok(true),
                Err(Errno::ENOENT) => return Ok(false),
                Err(Errno::EEXIST) => {}
                Err(error) => return Err(meaning(error)),
            }
        }
    }

    /// Makes a directory with this owner and mode, durably, whatever is there. Returns it, and what
    /// was in its place.
    pub fn make(
        &self,
        name: &str,
        owner: (u32, u32),
        mode: u32,
    ) -> io::Result<(Self, Option<&'static str>)> {
        let mut was = None;
        let dir = loop {
            let made = mkdirat(&self.fd, name, Mode::from_bits_truncate(mode));
            if !matches!(made, Ok(()) | Err(Errno::EEXIST)) {
                made.map_err(meaning)?;
            }
            match self.look(name)?.file_type() {
                kind if kind.is_dir() => break self.sub(Path::new(name))?,
                kind if was.is_none() => was = Some(noun(kind)),
                // Somebody puts it there again and again.
                kind => return Err(io::Error::other(format!("it is {}", noun(kind)))),
            }
            self.clear(name)?;
        };
        let file = dir.file()?;
        let metadata = file.metadata()?;
        if (metadata.uid(), metadata.gid()) != owner {
            fchown(&file, Some(owner.0), Some(owner.1))?;
        }
        if metadata.mode() & 0o7777 != mode {
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        file.sync_all()?;
        self.sync()?;
        Ok((dir, was))
    }

    /// The names here and what they are, in no order, at most `limit`, and whether these are all.
    pub fn list(&self, limit: usize) -> io::Result<(Vec<(OsString, FileType)>, bool)> {
        let file = self.file()?;
        let mut names = Vec::new();
        for entry in fs::read_dir(format!("/proc/self/fd/{}", file.as_raw_fd()))? {
            if names.len() == limit {
                return Ok((names, false));
            }
            let entry = entry?;
            match entry.file_type() {
                Ok(kind) => names.push((entry.file_name(), kind)),
                // It has just gone.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok((names, true))
    }
}

/// Why what was read from a file in a directory is perhaps not what we have written, as far as owners,
/// modes and names tell.
pub fn doubt(dir: &Metadata, file: &Metadata) -> Option<String> {
    let us = geteuid().as_raw();
    let others = |(metadata, what): (&Metadata, &str)| match metadata.mode() & 0o022 {
        _ if metadata.uid() != us => Some(format!("{what} belongs to user {}", metadata.uid())),
        0 => None,
        _ => Some(format!("{what} can be written by others than root")),
    };
    let doubt = [(dir, "its directory"), (file, "it")]
        .into_iter()
        .find_map(others);
    doubt.or_else(|| (file.nlink() != 1).then(|| "it has another name as well".into()))
}

/// Whether content of this size can be written into a file, and be read by nobody else.
fn is_room(metadata: &Metadata, size: u64) -> bool {
    metadata.is_file()
        && metadata.len() >= size
        && metadata.uid() == geteuid().as_raw()
        && metadata.mode() & 0o077 == 0
        && metadata.nlink() == 1
}

fn fill(mut file: File, content: &[u8], owner: Option<(u32, u32)>) -> io::Result<()> {
    if let Some((user, group)) = owner {
        fchown(&file, Some(user), Some(group))?;
    }
    file.write_all(content)?;
    file.sync_all()
}

/// A name that begins with a dot, like all that is no record.
fn unused(name: &str, what: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let rest = format!(".{}.{number}.{what}", std::process::id());
    let end = (0..=name.len().min(NAME_MAX - ".".len() - rest.len()))
        .rev()
        .find(|end| name.is_char_boundary(*end));
    format!(".{}{rest}", &name[..end.unwrap_or(0)])
}

/// What a file is, in words.
pub fn noun(kind: FileType) -> &'static str {
    match kind {
        _ if kind.is_symlink() => "a symbolic link",
        _ if kind.is_dir() => "a directory",
        _ if kind.is_fifo() => "a pipe",
        _ if kind.is_socket() => "a socket",
        _ if kind.is_file() => "a file",
        _ => "a device",
    }
}

/// Errors that say little as they are.
fn meaning(error: Errno) -> io::Error {
    match error {
        Errno::ELOOP => io::Error::other("there is a symbolic link on the way"),
        Errno::EXDEV => {
            io::Error::other("it is outside of the filesystem, or another one is mounted there")
        }
        Errno::ENOSYS => io::Error::other("the kernel has no openat2"),
        other => other.into(),
    }
}
