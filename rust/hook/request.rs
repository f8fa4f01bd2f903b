// SPDX-License-Identifier: GPL-2.0-only

//! The request that a hook is called for.

use crate::{
    policy::verdict::Request,
    sys::request::Current,
    unit::{
        device,
        table::{
            self,
            Active, //
        },
    },
};
use kernel::sync::rcu;

/// Calls `f` with the current request, if there is one and a unit that could be concerned.
pub(super) fn with_request<R>(
    f: impl FnOnce(&Current<'_>, &Active<'_>, Request<'_>) -> R,
) -> Option<R> {
    let guard = rcu::read_lock();
    if !table::any(&guard) {
        return None;
    }
    Current::with(|current| {
        let net = current.net();
        let active = table::active(net, &guard)?;
        let request = current.describe(|handle| {
            active
                .names_devices()
                .then(|| device::find(net, handle))
                .flatten()
        })?;
        Some(f(current, &active, request))
    })
    .flatten()
}
