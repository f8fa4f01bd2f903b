// SPDX-License-Identifier: GPL-2.0-only

//! Reading a list of NFSv4 clients as it is written piece by piece.

use super::{
    Awaited,
    Client,
    File, //
};
use crate::policy::{
    manifest::text::Header,
    nfs4::list::{
        Line,
        Order,
        MAX_LINE,
        MAX_NAME, //
    }, //
};
use kernel::{
    prelude::*,
    sync::atomic::Atomic, //
};

/// A list that has begun.
#[derive(Default)]
struct Growing {
    order: Order,
    header: Option<Header>,
    list: Awaited,
}

/// Puts lines together to a list.
pub(crate) struct Loader {
    /// The start of a line whose end has not come.
    line: KVec<u8>,
    growing: Option<Growing>,
    name: KBox<[u8; MAX_NAME]>,
}

/// Whose release it was, and who had something.
pub(crate) type Complete = (Header, Awaited);

impl Loader {
    /// Starts with nothing.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            line: KVec::new(),
            growing: None,
            name: KBox::new([0; MAX_NAME], GFP_KERNEL)?,
        })
    }

    /// Whether something has begun that is not whole.
    pub(crate) fn unfinished(&self) -> bool {
        self.growing.is_some() || !self.line.is_empty()
    }

    /// Takes up to one line from `data`: how much of it, and what it completed. After an error all that has
    /// begun is forgotten. May sleep.
    pub(crate) fn take(&mut self, data: &[u8]) -> Result<(usize, Option<Complete>)> {
        let end = data.iter().position(|byte| *byte == b'\n');
        let taken = end.map_or(data.len(), |end| end + 1);
        let result = self.take_part(&data[..taken], end.is_some());
        if result.is_err() {
            self.line.clear();
            self.growing = None;
        }
        Ok((taken, result?))
    }

    fn take_part(&mut self, part: &[u8], whole: bool) -> Result<Option<Complete>> {
        if self.line.len() + part.len() > MAX_LINE {
            return Err(EINVAL);
        }
        self.line.extend_from_slice(part, GFP_KERNEL)?;
        if !whole {
            return Ok(None);
        }
        let line = Line::parse(&self.line, &mut self.name).map_err(|_| EINVAL)?;
        let growing = self.growing.get_or_insert_with(Growing::default);
        growing.order.take(&line).map_err(|_| EINVAL)?;
        growing.add(&line)?;
        let complete = matches!(line, Line::End(_))
            .then(|| self.growing.take())
            .flatten();
        self.line.clear();
        Ok(complete.and_then(Growing::finish))
    }
}

impl Growing {
    fn add(&mut self, line: &Line<'_>) -> Result {
        let list = &mut self.list;
        match *line {
            Line::Version | Line::End(_) => {}
            Line::Unit(header) => self.header = Some(header),
            Line::Client {
                lists_files, name, ..
            } => {
                if list.clients.iter().any(|client| *client.name == *name) {
                    return Err(EINVAL);
                }
                let mut owned = KVec::with_capacity(name.len(), GFP_KERNEL)?;
                owned.extend_from_slice(name, GFP_KERNEL)?;
                let next = list.files.len();
                let client = Client {
                    name: owned,
                    files: lists_files.then_some(next..next),
                    completed: Atomic::new(false),
                };
                list.clients.push(client, GFP_KERNEL)?;
            }
            Line::File { inode, whole } => {
                let (shared, exclusive) = (list.shared.len(), list.exclusive.len());
                let file = File {
                    inode,
                    whole,
                    shared: shared..shared,
                    exclusive: exclusive..exclusive,
                };
                list.files.push(file, GFP_KERNEL)?;
                let client = list.clients.last_mut().ok_or(EINVAL)?;
                client.files.as_mut().ok_or(EINVAL)?.end += 1;
            }
            Line::Lock(lock) => {
                let file = list.files.last_mut().ok_or(EINVAL)?;
                let (spans, range) = match lock.exclusive {
                    true => (&mut list.exclusive, &mut file.exclusive),
                    false => (&mut list.shared, &mut file.shared),
                };
                spans.push(lock.span, GFP_KERNEL)?;
                range.end += 1;
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Option<Complete> {
        self.list.missing = Atomic::new(self.list.clients.len());
        Some((self.header?, self.list))
    }
}
