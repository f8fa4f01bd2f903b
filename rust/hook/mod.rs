// SPDX-License-Identifier: GPL-2.0-only

//! The hooks: each borrows what it is called with, asks the policy and applies the answer.

mod export;
mod grace;
// Not all that `pin_data` makes is used.
#[allow(dead_code)]
mod list;
mod nfs4;
mod nlm;
mod nsm;
mod request;
mod stock_release;
mod trace;

pub(crate) use list::{
    live,
    missed,
    Hooks, //
};
