// SPDX-License-Identifier: GPL-2.0-only

//! Man pages and shell completions.

use crate::cli::Cli;
use crate::error::{
    Context,
    Result, //
};
use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;
use std::fs;
use std::io;
use std::path::Path;

/// One page for each command.
pub fn man(dir: &Path) -> Result<()> {
    let context = || format!("cannot write man pages to {}", dir.display());
    fs::create_dir_all(dir).context(context)?;
    let mut command = command();
    command.build();
    pages(command, dir).context(context)
}

fn pages(command: clap::Command, dir: &Path) -> io::Result<()> {
    for command in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        pages(command.clone(), dir)?;
    }
    // It is in /usr/sbin.
    let page = Man::new(command).section("8");
    let mut text = Vec::new();
    page.render(&mut text)?;
    let text = String::from_utf8(text).map_err(io::Error::other)?;
    fs::write(dir.join(page.get_filename()), tables(&text))
}

/// Indented lines are tables and examples: they are not to be filled.
fn tables(page: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    for line in page.lines() {
        if line.starts_with("  ") != inside {
            inside = !inside;
            text += if inside { ".nf\n" } else { ".fi\n" };
        }
        text += line;
        text.push('\n');
    }
    text
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
