// SPDX-License-Identifier: GPL-2.0-only

//! `setup`.

use super::{
    print_json,
    said,
    say, //
};
use crate::cli::{
    Cli,
    SetupArgs, //
};
use crate::error::Result;
use crate::host::Host;
use crate::setup::restart::now;
use crate::setup::{
    plan,
    undo,
    Asked,
    Setup,
    LOOKS, //
};
use crate::signals;
use crate::steps::Report;
use crate::syslog;
use crate::turn;
use serde_json::json;

pub(super) fn setup(cli: &Cli, host: &Host, arguments: &SetupArgs) -> Result<u8> {
    let asked = Asked {
        scope: arguments.scope.clone(),
        lockd: arguments.lockd_port,
        statd: arguments.statd_port,
        mountd: arguments.mountd_port,
    };
    let dry_run = arguments.dry_run;
    let _turn = (!dry_run).then(|| turn::take(host)).transpose()?;
    let mut setup = Setup::new(host, asked);
    setup.dry_run = dry_run;
    setup.replace = arguments.replace;
    setup.restart = arguments.restart;
    let mut report = Report::default();
    let plan = plan();
    let (look, rest) = plan.split_at(LOOKS);
    report.run(&mut setup, look, |step| said(cli, step));
    let changes = setup.changes();
    for line in changes.lines() {
        say(cli, line);
    }
    if report.exit() == 1 {
        report.not_done(rest, |step| said(cli, step));
    } else {
        if !dry_run {
            signals::hold()?;
        }
        report.run(&mut setup, rest, |step| said(cli, step));
    }
    let mut advice = match (dry_run, report.exit(), report.has_done()) {
        (true, ..) => "; nothing was done (--dry-run)",
        (_, 1, false) => "; nothing has changed",
        (_, 3, _) => "; see what is NOT COMPLETE",
        _ => "",
    };
    if report.exit() == 1 && setup.has_changed() {
        let failed = report.again(&mut setup, &undo(), &mut |step| said(cli, step));
        advice = match failed {
            false => "; all files are as they were",
            true => "; taking it back FAILED, see above",
        };
    }
    let line = format!("{}{advice}", now(host));
    match report.exit() != 0 && (cli.quiet || cli.json) {
        true => syslog::error(&line),
        false => say(cli, &line),
    }
    if cli.json {
        print_json(json!({
            "command": "setup",
            "steps": report.steps(),
            "changes": changes.lines().collect::<Vec<_>>(),
            "now": line,
            "held_back": signals::came(),
            "exit": report.exit(),
        }));
    }
    Ok(report.exit())
}
