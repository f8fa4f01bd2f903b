// SPDX-License-Identifier: GPL-2.0-only

//! `doctor`.

use super::print_json;
use crate::cli::{
    Cli,
    DoctorArgs, //
};
use crate::doctor::{
    sheet,
    Diagnosis, //
};
use crate::error::{
    Context,
    Result, //
};
use crate::host::Host;
use std::fs;
use std::io::{
    stdin,
    stdout,
    Read,
    Write, //
};
use std::path::Path;

pub(super) fn doctor(cli: &Cli, host: &Host, arguments: &DoctorArgs) -> Result<u8> {
    let file = cli
        .config
        .clone()
        .unwrap_or(crate::config::DEFAULT_PATH.into());
    // Before we look, which takes its time: then it was written just now.
    let other = arguments.compare.as_deref().map(read).transpose()?;
    let came = sheet::now();
    let mut found = match arguments.quick {
        true => Diagnosis::quick(host, &file),
        false => Diagnosis::take(host, &file, &arguments.services)?,
    };
    if let Some(other) = other {
        found.compare(&other, came);
    }
    if cli.json {
        print_json(found.json());
    } else {
        let text = found.text(arguments.all && !cli.quiet);
        // Nobody may be listening.
        let _ = stdout().write_all(text.as_bytes());
    }
    Ok(found.exit())
}

fn read(file: &Path) -> Result<String> {
    let mut text = String::new();
    let read = match file == Path::new("-") {
        true => stdin().read_to_string(&mut text).map(drop),
        false => fs::read_to_string(file).map(|read| text = read),
    };
    read.context(|| format!("cannot read {}", file.display()))?;
    Ok(text)
}
