// SPDX-License-Identifier: GPL-2.0-only

//! A list as it is written, and as the kernel takes it.

use super::{
    Awaited,
    Lost, //
};
use crate::held::File;
use crate::policy::manifest::text::Header;
use crate::policy::nfs4::had::Lock;
use crate::policy::nfs4::list::{
    Count,
    Line,
    Order,
    MAX_NAME, //
};
use crate::policy::words::Invalid;
use std::collections::BTreeMap;
use std::fmt::Write;

impl Awaited {
    /// As it is written; [`None`] if nobody would read it.
    pub fn text(&self) -> Option<String> {
        self.write().ok()
    }

    fn write(&self) -> Result<String, Invalid> {
        let mut text = Text::default();
        text.line(Line::Version)?;
        text.line(Line::Unit(self.header()))?;
        for (name, lost) in &self.clients {
            text.client(name, lost)?;
        }
        text.line(Line::End(text.count))?;
        Ok(text.text)
    }

    /// What was written, whole.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let mut order = Order::default();
        let mut unit = None;
        let mut clients = BTreeMap::new();
        let mut last: Option<(Vec<u8>, Lost)> = None;
        let mut ended = false;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let mut buffer = [0; MAX_NAME];
            let line = Line::parse(line, &mut buffer).ok()?;
            order.take(&line).ok()?;
            let files = last.as_mut().and_then(|(_, lost)| lost.files.as_mut());
            match line {
                Line::Version => {}
                Line::Unit(header) => unit = Some(header),
                Line::Client {
                    completes,
                    lists_files,
                    name,
                } => {
                    let files = lists_files.then(BTreeMap::new);
                    let next = (name.to_vec(), Lost { completes, files });
                    insert(&mut clients, last.replace(next))?;
                }
                Line::File { inode, whole } => {
                    let file = File {
                        whole,
                        ..File::default()
                    };
                    files?.insert(inode, file);
                }
                Line::Lock(Lock { exclusive, span }) => {
                    let mut file = files?.last_entry()?;
                    match exclusive {
                        true => file.get_mut().exclusive.push(span),
                        false => file.get_mut().shared.push(span),
                    }
                }
                Line::End(_) => ended = true,
            }
        }
        insert(&mut clients, last)?;
        Self::of(unit?, clients).filter(|_| ended)
    }

    fn header(&self) -> Header {
        Header::Released {
            fsid: self.fsid,
            taken: self.taken,
            valid: self.valid,
            nfs4: self.nlm,
        }
    }
}

/// Adds a client that is whole, unless one of that name is there, or it is of no use.
fn insert(clients: &mut BTreeMap<Vec<u8>, Lost>, client: Option<(Vec<u8>, Lost)>) -> Option<()> {
    let Some((name, lost)) = client else {
        return Some(());
    };
    (lost.is_useful() && clients.insert(name, lost).is_none()).then_some(())
}

/// What was written so far.
#[derive(Default)]
struct Text {
    text: String,
    order: Order,
    count: Count,
}

impl Text {
    fn line(&mut self, line: Line<'_>) -> Result<(), Invalid> {
        self.order.take(&line)?;
        write!(self.text, "{line}").map_err(|_| Invalid)
    }

    fn client(&mut self, name: &[u8], lost: &Lost) -> Result<(), Invalid> {
        self.count.clients += 1;
        self.line(Line::Client {
            completes: lost.completes,
            lists_files: lost.files.is_some(),
            name,
        })?;
        for (inode, file) in lost.files.iter().flatten() {
            self.count.files += 1;
            self.count.locks += file.locks();
            self.line(Line::File {
                inode: *inode,
                whole: file.whole,
            })?;
            for (exclusive, spans) in [(false, &file.shared), (true, &file.exclusive)] {
                for span in spans.iter().copied() {
                    self.line(Line::Lock(Lock { exclusive, span }))?;
                }
            }
        }
        Ok(())
    }
}
