// SPDX-License-Identifier: GPL-2.0-only

//! The functions of nfsd's NFSv4 server that are hooked: what their arguments and results are.
//!
//! Lifetimes: whoever calls one of them has pinned what it passes until the function has returned. All
//! but those that revoke run in a thread of nfsd, inside the operation whose arguments they look at.
//!
//! C headers: `fs/nfsd/state.h`, `fs/nfsd/xdr4.h`

use crate::{
    bindings,
    policy::{
        nfs4::{
            awaited::Target,
            delegation::{
                Kind,
                Opening, //
            },
            name::Tail,
            Operation,
            DIRDELEG_UNAVAIL, //
        },
        state::fileid::FileId,
        verdict::{
            Request,
            What, //
        },
    },
    sys::{
        fprobe::{
            functions,
            Entry,
            Exit,
            Function, //
        },
        net::Net,
        nfsd::{
            compound,
            state, //
        },
        symbol::{
            BLOCKED,
            BLOCKED_LOCK, //
        }, //
    },
};
use core::{
    marker::PhantomData,
    ptr,
    slice, //
};
use kernel::prelude::*;

functions! {
    /// `nfsd4_open(rqstp, cstate, u)`.
    Open, c"nfsd4_open";
    /// `nfsd4_lock(rqstp, cstate, u)`.
    Lock, c"nfsd4_lock";
    /// `nfs4_check_open_reclaim(clp)`.
    CheckOpenReclaim, c"nfs4_check_open_reclaim";
    /// `set_client(clid, cstate, nn)`.
    SetClient, c"set_client";
    /// `nfs4_get_vfs_file(rqstp, fp, cur_fh, stp, open, new_stp)`.
    GetVfsFile, c"nfs4_get_vfs_file";
    /// `nfs4_open_delegation(rqstp, open, stp, currentfh, fh)`.
    OpenDelegation, c"nfs4_open_delegation";
    /// `nfsd_file_acquire_dir(rqstp, fhp, pnf)`.
    AcquireDir, c"nfsd_file_acquire_dir";
    /// `nfsd4_exchange_id(rqstp, cstate, u)`.
    ExchangeId, c"nfsd4_exchange_id";
    /// `nfsd4_setclientid(rqstp, cstate, u)`.
    SetClientId, c"nfsd4_setclientid";
    /// `nfsd4_reclaim_complete(rqstp, cstate, u)`.
    ReclaimComplete, c"nfsd4_reclaim_complete";
    /// `nfs4_state_shutdown_net(net)`.
    ShutdownNet, c"nfs4_state_shutdown_net";
    /// `nfsd4_revoke_states(nn, sb)`.
    RevokeStates, c"nfsd4_revoke_states";
    /// `nfsd4_revoke_export_states(nn, path)`.
    RevokeExportStates, c"nfsd4_revoke_export_states";
}

/// A function that returns a status of NFSv4.
pub(crate) trait Answers: Function {}

impl Answers for Open {}
impl Answers for Lock {}
impl Answers for CheckOpenReclaim {}
impl Answers for SetClient {}
impl Answers for ReclaimComplete {}
impl Answers for GetVfsFile {}
impl Answers for AcquireDir {}

impl<F: Answers> Exit<'_, F> {
    /// The status.
    pub(crate) fn status(&self) -> u32 {
        u32::from_be(self.value() as u32)
    }

    /// Replaces it.
    pub(crate) fn set_status(&self, status: u32) {
        self.set_value(status.to_be() as usize);
    }
}

/// A function that performs an operation by which clients reclaim.
pub(crate) trait Reclaims: Answers {
    /// Which that is.
    const OPERATION: Operation;
}

impl Reclaims for Open {
    const OPERATION: Operation = Operation::Open;
}

impl Reclaims for Lock {
    const OPERATION: Operation = Operation::Lock;
}

impl<F: Reclaims> Entry<'_, F> {
    /// Whether this one does.
    pub(crate) fn is_reclaim(&self) -> bool {
        // SAFETY: By the type invariants it is the argument that the function takes.
        unsafe {
            bindings::rust_helper_nfsd4_is_reclaim(
                ptr::with_exposed_provenance(self.argument(2)),
                F::OPERATION == Operation::Lock,
            )
        }
    }
}

impl Entry<'_, AcquireDir> {
    /// Has the function find no file handle.
    pub(crate) fn refuse(&self) {
        // SAFETY: There is nothing that it needs.
        let zeroes = unsafe { bindings::rust_helper_zeroes() };
        // One without a handle is refused before anything else is looked at (`nfsd_set_fh_dentry()`).
        self.set_argument(1, zeroes.expose_provenance());
    }
}

impl Exit<'_, AcquireDir> {
    /// Tells the client that the directory is not delegated.
    pub(crate) fn unavailable(&self) {
        self.set_status(DIRDELEG_UNAVAIL);
    }
}

/// An OPEN in the middle of its call, which does not leave the task.
#[derive(Clone, Copy)]
pub(crate) struct Opens {
    open: *mut bindings::nfsd4_open,
    stateid: *const c_void,
    /// The claim that it came with, if it had to be changed.
    claim: Option<u32>,
}

impl Entry<'_, OpenDelegation> {
    /// The OPEN, and what it is, if it could come with a delegation. Takes nfsd's lock of the file, which no
    /// caller of the function holds.
    pub(crate) fn opening(&self) -> Option<(Opens, Opening)> {
        let opens = Opens {
            open: ptr::with_exposed_provenance_mut(self.argument(1)),
            stateid: ptr::with_exposed_provenance(self.argument(2)),
            claim: None,
        };
        let mut found = bindings::nfs_failover_opening::default();
        // SAFETY: By the type invariants it is the OPEN, which belongs to the request of this thread, and
        // its stateid, to which the caller holds a reference, and that one to its file.
        let could = unsafe {
            bindings::rust_helper_nfsd4_opening(opens.open, opens.stateid, &raw mut found)
        };
        let opening = Opening {
            reclaims: found.reclaims,
            claims: match found.claims {
                bindings::nfs_failover_delegation_NFS_FAILOVER_DELEGATES_READING => {
                    Some(Kind::Read)
                }
                bindings::nfs_failover_delegation_NFS_FAILOVER_DELEGATES_WRITING => {
                    Some(Kind::Write)
                }
                _ => None,
            },
            writes: found.writes,
            shared: found.shared,
        };
        could.then_some((opens, opening))
    }

    /// Has the function give one although another was recalled from the file, or one that nfsd does not tell
    /// from it, a short while ago.
    pub(crate) fn unblock(&self) {
        // SAFETY: The symbols are those of nfsd, which stays, and the first has that size. No caller of the
        // function holds the lock.
        unsafe {
            bindings::rust_helper_nfsd4_unblock(
                ptr::with_exposed_provenance_mut(BLOCKED.address()),
                ptr::with_exposed_provenance_mut(BLOCKED_LOCK.address()),
            );
        }
    }

    /// Has the function give no delegation. The OPEN has to get its claim back.
    pub(crate) fn undelegate(&self, opens: Opens) -> Opens {
        // SAFETY: By the type invariants it is the OPEN, which belongs to the request of this thread.
        let claim = unsafe { bindings::rust_helper_nfsd4_undelegate(opens.open) };
        Opens {
            claim: Some(claim),
            ..opens
        }
    }
}

impl Exit<'_, OpenDelegation> {
    /// Gives an OPEN of the same call its claim back, if it was changed.
    pub(crate) fn claim_again(&self, opens: Opens) {
        if let Some(claim) = opens.claim {
            // SAFETY: As in `undelegate`, and the call is the same.
            unsafe { bindings::rust_helper_nfsd4_claim_again(opens.open, claim) };
        }
    }

    /// Whether an OPEN of the same call came with a delegation.
    pub(crate) fn is_delegated(&self, opens: Opens) -> bool {
        // SAFETY: As above.
        unsafe { bindings::rust_helper_nfsd4_is_delegated(opens.open) }
    }

    /// Has the client of an OPEN of the same call give its delegation back at once.
    pub(crate) fn recall(&self, opens: Opens) {
        // SAFETY: As above.
        unsafe { bindings::rust_helper_nfsd4_recall(opens.open) };
    }

    /// How often an OPEN of the same call was granted.
    pub(crate) fn times(&self, opens: Opens) -> u32 {
        // SAFETY: As in `opening`, and the call is the same.
        unsafe { bindings::rust_helper_nfsd4_generation(opens.stateid) }
    }
}

/// An OPEN that is turned away, in the middle of its call, which does not leave the task.
#[derive(Clone, Copy)]
pub(crate) struct TurnedAway {
    open: usize,
    status: u32,
    _not_send: PhantomData<*mut ()>,
}

impl Entry<'_, GetVfsFile> {
    /// The request for the file that the OPEN has found.
    pub(crate) fn of_file<'a>(&'a self, request: &Request<'a>) -> Option<Request<'a>> {
        let fh = ptr::with_exposed_provenance::<bindings::svc_fh>(self.argument(2));
        // SAFETY: By the type invariants it is the file handle of what is opened, whose inode the
        // function looks at itself (`nfsd_open_break_lease()`).
        // The OPEN belongs to the request of this thread.
        let ((handle, dev), inode, file, ask) = unsafe {
            let fh = fh.as_ref()?;
            (
                compound::filesystem(fh),
                bindings::rust_helper_svc_fh_inode(fh),
                FileId::of(compound::raw(fh)),
                compound::opens(ptr::with_exposed_provenance(self.argument(4))),
            )
        };
        Some(Request {
            handle,
            dev: Some(dev),
            what: What::Nfs4(Target::File(inode, ask), Some(file)),
            ..*request
        })
    }

    /// Whether the OPEN has made the file.
    pub(crate) fn has_made_it(&self) -> bool {
        let open = ptr::with_exposed_provenance(self.argument(4));
        // SAFETY: By the type invariants it is the OPEN, which belongs to the request of this thread.
        unsafe { bindings::rust_helper_nfsd4_created(open) }
    }

    /// Has the function refuse the OPEN. On exit it has to be told so.
    pub(crate) fn turn_away(&self, status: u32) -> TurnedAway {
        let open = self.argument(4);
        // SAFETY: By the type invariants it is the OPEN, which belongs to the request of this thread.
        unsafe { bindings::rust_helper_nfsd4_turn_away(ptr::with_exposed_provenance_mut(open)) };
        TurnedAway {
            open,
            status,
            _not_send: PhantomData,
        }
    }
}

impl Exit<'_, GetVfsFile> {
    /// Tells an OPEN of the same call that it is turned away.
    pub(crate) fn tell(&self, turned: TurnedAway) {
        let open = ptr::with_exposed_provenance_mut(turned.open);
        // SAFETY: As in `turn_away`, and the call is the same.
        unsafe { bindings::rust_helper_nfsd4_let_in(open) };
        self.set_status(turned.status);
    }
}

/// A client in the middle of a call of the task, which it does not leave.
#[derive(Clone, Copy)]
pub(crate) struct Completing(*const c_void);

impl Entry<'_, ReclaimComplete> {
    /// The client, if it says that of all its filesystems.
    pub(crate) fn completing(&self) -> Option<Completing> {
        // SAFETY: By the type invariants these are arguments that the function takes.
        let client = unsafe {
            bindings::rust_helper_nfsd4_completing(
                ptr::with_exposed_provenance(self.argument(1)),
                ptr::with_exposed_provenance(self.argument(2)),
            )
        };
        (!client.is_null()).then_some(Completing(client))
    }
}

impl Exit<'_, ReclaimComplete> {
    /// Calls `f` with the name of the client of the same call.
    pub(crate) fn with_name<R>(&self, client: Completing, f: impl FnOnce(&[u8]) -> R) -> R {
        let mut len = 0;
        // SAFETY: The session of the request pins the client, and with it its name, until the request
        // is over. A name of no bytes may have no address.
        let name = unsafe {
            let start = bindings::rust_helper_nfsd4_name(client.0, &raw mut len);
            match start.is_null() {
                true => &[],
                false => slice::from_raw_parts(start, len as usize),
            }
        };
        f(name)
    }
}

/// A function in which a client says what it calls itself.
pub(crate) trait Introduces: Function {
    /// Whether that is EXCHANGE_ID, and not SETCLIENTID.
    const EXCHANGE_ID: bool;
}

impl Introduces for ExchangeId {
    const EXCHANGE_ID: bool = true;
}

impl Introduces for SetClientId {
    const EXCHANGE_ID: bool = false;
}

impl<F: Introduces> Entry<'_, F> {
    /// Has the client call itself something else: what `name` makes of its name is how much of that
    /// stays, and what comes after it. Not if it is known in `net` by its own name, and not by that one,
    /// for reclaiming after a restart of nfsd. Returns whether it does. Does not sleep.
    pub(crate) fn rename(&self, net: Net, name: impl FnOnce(&[u8]) -> (usize, Tail)) -> bool {
        let operation = ptr::with_exposed_provenance_mut(self.argument(2));
        let mut len = 0;
        // SAFETY: By the type invariants these are arguments that the function takes: the request of
        // this thread, and an operation of it. A name of no bytes may have no address.
        unsafe {
            let start =
                bindings::rust_helper_nfsd4_client_name(operation, F::EXCHANGE_ID, &raw mut len);
            let old = match start.is_null() {
                true => &[],
                false => slice::from_raw_parts(start, len as usize),
            };
            let (kept, tail) = name(old);
            let tail = tail.bytes();
            let known_as = |name, tail| state::is_recorded(net, name, tail);
            if known_as(old, &[]) != Some(false) && known_as(&old[..kept], tail) != Some(true) {
                return false;
            }
            bindings::rust_helper_nfsd4_rename_client(
                ptr::with_exposed_provenance_mut(self.argument(0)),
                operation,
                F::EXCHANGE_ID,
                kept as u32,
                tail.as_ptr(),
                tail.len() as u32,
            )
        }
    }
}

impl Entry<'_, ShutdownNet> {
    /// The network namespace in which nfsd forgets all clients, if it has any.
    pub(crate) fn forgotten_in(&self) -> Option<Net> {
        let net = Net::from_argument(self.argument(0));
        state::has_clients(net).then_some(net)
    }
}

/// A function that revokes what clients hold.
pub(crate) trait Revokes: Function {
    /// What to pass in place of the filesystem or path, so that nothing is of it.
    fn nothing() -> usize;
}

impl Revokes for RevokeStates {
    fn nothing() -> usize {
        // It is only compared with the superblocks of inodes.
        0
    }
}

impl Revokes for RevokeExportStates {
    fn nothing() -> usize {
        // A path that nobody exports; its parts are only compared. The function may look at it when
        // this module is gone.
        // SAFETY: There is nothing that it needs.
        unsafe { bindings::rust_helper_zeroes() }.expose_provenance()
    }
}

impl<F: Revokes> Entry<'_, F> {
    /// Has the function revoke nothing; returns whether there are clients that it is to revoke from.
    pub(crate) fn revoke_nothing(&self) -> bool {
        self.set_argument(1, F::nothing());
        // SAFETY: By the type invariants it is nfsd's part of a namespace, where nfsd runs.
        unsafe {
            bindings::rust_helper_nfsd4_has_clients(ptr::with_exposed_provenance(self.argument(0)))
        }
    }
}
