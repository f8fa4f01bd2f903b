// SPDX-License-Identifier: GPL-2.0-only

//! `nfs4_open_delegation()`: whether an OPEN comes with a delegation.
//!
//! nfsd gives one for a reclaimed OPEN whether the client claims one or not. The next client that
//! reclaims an OPEN of the same file would then have to wait for it to be given back, and if that takes
//! longer than a lease, the first would lose what it has just reclaimed.
//!
//! And it gives one for writing although others have the file open for reading: these may get one for
//! reading beside it, and miss what is written. It gives one for reading to a client that has the file open
//! for writing, and makes it one for writing when that is reclaimed; a Linux client locks exclusively under
//! either. Where a recall is remembered that does not happen, but a node to which a filesystem has come
//! remembers none.
//!
//! What is claimed and not given is worse, see [`crate::policy::nfs4::delegation`].

use crate::{
    hook::request::with_request,
    policy::{
        nfs4::delegation::{
            Gift,
            Opening, //
        },
        verdict::Op,
    },
    sys::{
        fprobe::{
            Entry,
            Exit,
            Hook, //
        },
        nfsd::nfs4_calls::{
            self,
            Opens, //
        },
        request::Current, //
    },
};

/// An OPEN in the middle of its call, and what is to be done about its delegation.
#[derive(Clone, Copy)]
pub(in crate::hook) struct Given {
    opens: Opens,
    opening: Opening,
    gift: Gift,
}

/// Hook of `nfs4_open_delegation()`.
pub(in crate::hook) struct OpenDelegation;

impl Hook for OpenDelegation {
    type Function = nfs4_calls::OpenDelegation;
    type Data = Given;

    fn enter(call: &Entry<'_, nfs4_calls::OpenDelegation>) -> Option<Given> {
        let (opens, opening) = call.opening()?;
        let recovers = opening.reclaims
            && with_request(|_, active, request| {
                // It has got so far, whatever would be said of it now.
                request.op == Op::Reclaim && active.judge(&request).1.is_some()
            }) == Some(true);
        if opening.relies() {
            call.unblock();
        }
        let gift = opening.gift(recovers);
        let given = |opens| Given {
            opens,
            opening,
            gift,
        };
        match gift {
            Gift::Nothing => Some(given(call.undelegate(opens))),
            Gift::Recalled => Some(given(opens)),
            Gift::AsStock => opening.reclaims.then(|| given(opens)),
        }
    }

    fn leave(call: &Exit<'_, nfs4_calls::OpenDelegation>, given: Given) {
        let opens = given.opens;
        call.claim_again(opens);
        if call.is_delegated(opens) {
            if given.gift == Gift::Recalled {
                call.recall(opens);
            }
        } else if let Some(course) = given.opening.without(call.times(opens)) {
            // The OPEN is answered accordingly when it has ended.
            Current::with(|current| current.set_course(course));
        }
    }
}
