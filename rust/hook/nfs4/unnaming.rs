// SPDX-License-Identifier: GPL-2.0-only

//! `security_inode_unlink()` and `security_inode_rename()`: a REMOVE or RENAME has found its file.
//!
//! By name it was judged before that. Here it is known whose file it is that goes, or gets another name:
//! one that somebody has still to reclaim could not be reclaimed any more.

use crate::{
    hook::{
        request::with_request,
        trace, //
    },
    policy::{
        nfs4::{
            awaited::Target,
            had::Ask,
            unnaming, //
        },
        outcome::Count,
        verdict::{
            Request,
            What, //
        },
    },
    sys::{
        fprobe::{
            Entry,
            Exit,
            Hook, //
        },
        nfsd::name_calls::Unnames,
    },
};
use core::marker::PhantomData;

/// Hook of one of these functions.
pub(in crate::hook) struct Unnaming<F>(PhantomData<F>);

impl<F: Unnames> Hook for Unnaming<F> {
    type Function = F;
    type Data = ();

    fn enter(call: &Entry<'_, F>) -> Option<()> {
        with_request(|current, active, request| {
            let operation = current.operation()?;
            // A filesystem may have its files on another one, and remove them there.
            let mut files = call.files().filter(|(dev, _)| request.dev == Some(*dev));
            files.find_map(|(_, inode)| {
                let request = Request {
                    what: What::Nfs4(Target::File(inode, Ask::Other), None),
                    ..request
                };
                let (verdict, unit) = active.judge(&request);
                if !unnaming(operation, request.op, verdict) {
                    return None;
                }
                trace::told(&request, verdict, unit);
                unit?.count(Count::Wait);
                Some(())
            })
        })
        .flatten()
    }

    fn leave(call: &Exit<'_, F>, (): ()) {
        call.put_off();
    }
}
