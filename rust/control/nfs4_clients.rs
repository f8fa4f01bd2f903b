// SPDX-License-Identifier: GPL-2.0-only

//! `nfs4_clients`: who had what of NFSv4 on an export that has come to this node.
//!
//! A list can be long, so it is taken piece by piece, and carried out when its last line has come. Who
//! writes the name of an export instead is told whether there can be one of it.

use super::need;
use crate::{
    policy::{
        command,
        fsid::Fsid, //
    },
    sys::{
        net::Net,
        nfsd::control_file::{
            Control,
            MAX_WRITE, //
        },
        text::Text, //
    },
    unit::{
        awaited::Loader,
        completion,
        registry, //
    },
};
use kernel::prelude::*;

/// Longest question.
const MAX_COMMAND: usize = 4096;

/// What a descriptor of `nfs4_clients` remembers.
pub(super) struct Nfs4Clients {
    loader: Loader,
    text: Text,
    /// The text is the answer to a question.
    answer: bool,
}

impl Nfs4Clients {
    /// The unit that is asked about, if this is no part of a list.
    fn asks(&self, written: &[u8]) -> Result<Option<Fsid>> {
        // The first line of a list; no name of a unit starts like that.
        if self.loader.unfinished() || written.starts_with(b"n") {
            return Ok(None);
        }
        if written.len() > MAX_COMMAND {
            return Err(EINVAL);
        }
        Ok(Some(command::export(written)?))
    }
}

impl Control for Nfs4Clients {
    const NAME: &'static CStr = c"nfs4_clients";

    fn open() -> Result<Self> {
        Ok(Self {
            loader: Loader::new()?,
            text: Text::new(),
            answer: false,
        })
    }

    fn accepts(len: usize) -> Result<usize> {
        Ok(len.min(MAX_WRITE))
    }

    fn write(&mut self, net: Net, mut written: &[u8]) -> Result {
        if written.is_empty() {
            return Err(EINVAL);
        }
        self.answer = false;
        if let Some(fsid) = self.asks(written)? {
            self.text = Text::new();
            completion::ask(net, fsid, need::missed, &mut self.text)?;
            self.answer = true;
            return Ok(());
        }
        while !written.is_empty() {
            let (taken, complete) = self.loader.take(written)?;
            written = &written[taken..];
            if let Some((header, awaited)) = complete {
                need::hooks()?;
                let (fsid, count) = completion::expect(net, header, awaited)?;
                registry::say_rest();
                pr_info!(
                    "{}\n",
                    format_args!("fsid={fsid}{net}: waiting for {count} NFSv4 clients")
                );
            }
        }
        Ok(())
    }

    fn read(&mut self, net: Net, at: usize) -> Result<&[u8]> {
        if at == 0 && !self.answer {
            let mut text = Text::new();
            completion::show(net, &mut text)?;
            self.text = text;
        }
        Ok(self.text.as_bytes().get(at..).unwrap_or_default())
    }

    fn flush(&mut self) -> Result {
        if self.loader.unfinished() {
            return Err(EINVAL);
        }
        Ok(())
    }
}
