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
    clap_mangen::generate_to(command(), dir).context(context)?;
    for entry in fs::read_dir(dir).context(context)? {
        let path = entry.context(context)?.path();
        if path.extension().is_some_and(|extension| extension == "1") {
            let page = fs::read_to_string(&path).context(context)?;
            fs::write(&path, tables(&page)).context(context)?;
        }
    }
    Ok(())
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
