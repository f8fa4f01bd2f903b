// SPDX-License-Identifier: GPL-2.0-only

//! Which of a file's blocks are dropped: requests that wait, and locks of which clients are being told.
//!
//! All of this runs in `nlmsvc_always_match()` when `nlmsvc_traverse_blocks()` asks, with `f_mutex` of
//! the file and `nlm_blocked_lock` held until lockd drops a block, after which it begins anew, or is
//! through.
//!
//! C header: `fs/lockd/lockd.h`

use super::{
    Kind,
    Traversal, //
};
use crate::sys::lockd::{
    file::File,
    found::{
        Doubt,
        Skipped, //
    },
    host::Host, //
};

impl Traversal<'_> {
    /// Whether the request of `host` is dropped that lockd asks about. It asks about all blocks of the
    /// file in their order (`nlmsvc_traverse_blocks()`).
    pub(super) fn takes_waiting(&self, host: &Host<'_>, caller: usize) -> bool {
        let mut at_hand = self.at_hand.get();
        // SAFETY: The file at hand is pinned until the traversal goes on to the next.
        let file = unsafe { File::from_argument(at_hand.file.expose_provenance()) };
        let (Some(file), false) = (file, self.is_over()) else {
            return false;
        };
        match Kind::of(caller) {
            Some(Kind::Blocked) => {}
            Some(Kind::Lock | Kind::Share) => return false,
            None => {
                self.skipped
                    .set(Some(Skipped::Doubt(Doubt::Caller(caller))));
                return false;
            }
        }
        if at_hand.block == 0 {
            // Once a walk: lockd holds both locks until it drops one, or is through.
            // SAFETY: `nlmsvc_traverse_blocks()` asks with both locks held.
            let (first, woken) = unsafe { file.first_waiting(self.net) };
            at_hand.waiting = first;
            if woken {
                self.skipped.set(Some(Skipped::Granting));
            }
        }
        let asked = (at_hand.block, host.id());
        at_hand.block += 1;
        let takes = at_hand.waiting == Some(asked);
        if !takes && at_hand.waiting.is_some_and(|(number, _)| number == asked.0) {
            self.skipped.set(Some(Skipped::Doubt(Doubt::Unmet)));
        }
        if takes {
            at_hand.block = 0;
            self.meet_blocked(host);
        }
        self.at_hand.set(at_hand);
        takes
    }

    pub(super) fn meet_blocked(&self, host: &Host<'_>) {
        if host.net() == self.net {
            self.count(|dropped| dropped.blocked += 1);
        }
    }

    /// Whether the blocks of the file are dropped, all or none; they are recorded first.
    pub(super) fn take_blocked(&self, file: &File<'_>, patient: bool) -> bool {
        // SAFETY: `nlmsvc_traverse_blocks()` asks with both locks held.
        let grants = unsafe { file.grants(self.net) };
        if grants.trying || (patient && grants.woken) {
            self.skipped.set(Some(Skipped::Granting));
            // What is off lockd's list is not dropped anyway.
            if patient {
                return false;
            }
        }
        let mut room = true;
        let before = self.dropped.get();
        self.recorder.mark();
        // SAFETY: As above.
        unsafe {
            file.each_blocked(|host, range| {
                if host.net() == self.net && room {
                    self.meet_blocked(&host);
                    room = self.recorder.blocked(&host, range).is_ok();
                }
            });
        }
        if !room {
            self.dropped.set(before);
            self.skipped.set(Some(Skipped::Full(0)));
            self.recorder.forget();
        }
        room
    }
}
