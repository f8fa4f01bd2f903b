// SPDX-License-Identifier: GPL-2.0-only

//! Man pages and shell completions.

use crate::cli::Cli;
use crate::error::{
    Context,
    Result, //
};
use clap::CommandFactory;
use clap_complete::Shell;
use std::fs;
use std::path::Path;

/// One page for each command.
pub fn man(dir: &Path) -> Result<()> {
    let context = || format!("cannot write man pages to {}", dir.display());
    fs::create_dir_all(dir).context(context)?;
    clap_mangen::generate_to(command(), dir).context(context)
}

/// For bash, zsh and fish.
pub fn completions(dir: &Path) -> Result<()> {
    let context = || format!("cannot write completions to {}", dir.display());
    fs::create_dir_all(dir).context(context)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command(), "nfs-failoverctl", dir)
            .context(context)?;
    }
    Ok(())
}

fn command() -> clap::Command {
    // Not what is for tests and for ourselves.
    Cli::command().disable_help_subcommand(true)
}
