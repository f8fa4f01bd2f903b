// SPDX-License-Identifier: GPL-2.0-only

//! Control files of the simple kind: one command a write, one text a read.
//!
//! A descriptor remembers the text of its last command, so that a read after a write, on the same
//! descriptor, tells what became of it; a read without one shows the present state. The text is
//! taken when the read at offset 0 starts and stays the same for reads behind it.

use crate::sys::{
    net::Net,
    nfsd::control_file::Control,
    text::Text, //
};
use core::marker::PhantomData;
use kernel::prelude::*;

/// A control file of the simple kind.
pub(super) trait Command: Send + Unpin + 'static {
    /// Its name in the nfsd filesystem.
    const NAME: &'static CStr;

    /// Longest command, in bytes.
    const MAX_COMMAND: usize = 4096;

    /// Whether it takes commands.
    const WRITABLE: bool = true;

    /// Whether who polls it is told of changes.
    const POLLED: bool = false;

    /// Carries out a command; what a following read returns goes to `reply`. May sleep.
    fn write(_net: Net, _command: &[u8], _reply: &mut Text) -> Result {
        Err(EINVAL)
    }

    /// Writes the present state to `text`. May sleep.
    fn read(_net: Net, _text: &mut Text) -> Result {
        Ok(())
    }
}

/// What a descriptor of `C` remembers.
pub(super) struct Shown<C> {
    text: Text,
    /// The text is the reply to a command.
    reply: bool,
    _file: PhantomData<C>,
}

impl<C: Command> Control for Shown<C> {
    const NAME: &'static CStr = C::NAME;
    const WRITABLE: bool = C::WRITABLE;
    const POLLED: bool = C::POLLED;

    fn open() -> Result<Self> {
        Ok(Self {
            text: Text::new(),
            reply: false,
            _file: PhantomData,
        })
    }

    fn accepts(len: usize) -> Result<usize> {
        if len > C::MAX_COMMAND {
            return Err(E2BIG);
        }
        Ok(len)
    }

    fn write(&mut self, net: Net, written: &[u8]) -> Result {
        let mut reply = Text::new();
        C::write(net, written, &mut reply)?;
        self.reply = !reply.as_bytes().is_empty();
        self.text = reply;
        Ok(())
    }

    fn read(&mut self, net: Net, at: usize) -> Result<&[u8]> {
        if at == 0 && !self.reply {
            let mut text = Text::new();
            C::read(net, &mut text)?;
            self.text = text;
        }
        Ok(self.text.as_bytes().get(at..).unwrap_or_default())
    }
}
