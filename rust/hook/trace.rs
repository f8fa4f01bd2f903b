// SPDX-License-Identifier: GPL-2.0-only

//! Telling who traces which verdict was given.

use crate::{
    policy::verdict::{
        Request,
        Verdict, //
    },
    sys::trace,
    unit::unit::Unit, //
};

/// A verdict was given on a request, by a unit if there was one. Does not sleep.
#[inline]
pub(super) fn told(request: &Request<'_>, verdict: Verdict, unit: Option<&Unit>) {
    if trace::traces_verdicts() {
        tell(request, verdict, unit);
    }
}

#[cold]
fn tell(request: &Request<'_>, verdict: Verdict, unit: Option<&Unit>) {
    let operation = request.op.word();
    let why = verdict.why(unit.map(|unit| unit.rule().phase));
    let tell = |unit: &dyn core::fmt::Display| match request.client {
        Some(client) => trace::verdict(unit, client, operation, verdict.word(), why),
        None => trace::verdict(unit, "-", operation, verdict.word(), why),
    };
    match (unit, &request.handle) {
        (Some(unit), _) => tell(&unit.name()),
        // No unit was concerned: the filesystem tells for which there is none.
        (None, Some(handle)) => tell(handle),
        (None, None) => tell(&"fsid=-"),
    }
}
