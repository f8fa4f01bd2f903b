// SPDX-License-Identifier: GPL-2.0-only

//! The command.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(nfs_failoverctl::commands::main(std::env::args_os()))
}
