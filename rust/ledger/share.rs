// SPDX-License-Identifier: GPL-2.0-only

//! What a list of shares says: who had one of a file, and who is in whose way.
//!
//! There are few shares, so all of them are gone through.

use crate::policy::state::share::Share;
use kernel::prelude::*;

/// A share of the file at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listed<'a> {
    /// Its number on the list.
    pub(crate) at: usize,
    /// The host, as numbered by the caller.
    pub(crate) owner: u32,
    /// What is shared, and by whom at that host.
    pub(crate) share: Share<'a>,
}

impl Listed<'_> {
    /// Whether this is why host number `owner` may have `wanted` back.
    pub(crate) fn admits(&self, owner: u32, wanted: &Share<'_>) -> bool {
        self.owner == owner && self.share.includes(wanted)
    }

    /// Whether nothing of this is to come if host number `owner` has `wanted` by now, or gives it up.
    pub(crate) fn is_settled_by(&self, owner: u32, wanted: &Share<'_>) -> bool {
        // A part of it is not all: since 7.3 lockd takes each pair of modes by itself.
        self.owner == owner && self.share == *wanted
    }

    /// Whether this is in the way of `wanted`: if that is of another holder, and conflicts.
    pub(crate) fn is_in_the_way(&self, owner: Option<u32>, wanted: &Share<'_>) -> bool {
        let own = Some(self.owner) == owner && self.share.owner == wanted.owner;
        !own && self.share.conflicts(wanted)
    }
}

/// Which of the shares are outstanding.
pub(crate) struct Outstanding {
    /// For each share, whether it is.
    each: KVVec<bool>,
    /// How many are.
    left: u64,
}

impl Outstanding {
    /// All of that many. May sleep.
    pub(crate) fn new(shares: usize) -> Result<Self> {
        Ok(Self {
            each: KVVec::from_elem(true, shares, GFP_KERNEL)?,
            left: shares as u64,
        })
    }

    /// How many are.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// Whether share number `at` is.
    pub(crate) fn has(&self, at: usize) -> bool {
        self.each.get(at) == Some(&true)
    }

    /// Share number `at` is outstanding no more.
    pub(crate) fn settle(&mut self, at: usize) {
        if let Some(outstanding) = self.each.get_mut(at) {
            if core::mem::replace(outstanding, false) {
                self.left -= 1;
            }
        }
    }

    /// Settles those of a file that `wanted` of host number `owner` settles.
    pub(crate) fn settle_all<'s>(
        &mut self,
        on_file: impl Iterator<Item = Listed<'s>>,
        owner: u32,
        wanted: &Share<'_>,
    ) {
        for listed in on_file.filter(|listed| listed.is_settled_by(owner, wanted)) {
            self.settle(listed.at);
        }
    }

    /// Whether `wanted` conflicts with one of a file that is outstanding.
    pub(crate) fn conflicts<'s>(
        &self,
        mut on_file: impl Iterator<Item = Listed<'s>>,
        owner: Option<u32>,
        wanted: &Share<'_>,
    ) -> bool {
        on_file.any(|listed| self.has(listed.at) && listed.is_in_the_way(owner, wanted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(owner: &[u8], access: u32, mode: u32) -> Share<'_> {
        Share {
            owner,
            access,
            mode,
        }
    }

    fn modes() -> impl Iterator<Item = (u32, u32)> {
        (0..4).flat_map(|access| (0..4).map(move |mode| (access, mode)))
    }

    /// Over all modes and holders.
    #[test]
    fn rules() {
        for (access, mode) in modes() {
            let it = Listed {
                at: 0,
                owner: 1,
                share: share(b"a", access, mode),
            };
            for (other_access, other_mode) in modes() {
                for (owner, name) in [(1, &b"a"[..]), (1, b"b"), (2, b"a")] {
                    let wanted = share(name, other_access, other_mode);
                    let case = (it, owner, wanted);
                    let holder = owner == 1 && name == b"a";
                    let part = other_access & !access == 0 && other_mode & !mode == 0;
                    assert_eq!(it.admits(owner, &wanted), holder && part, "{case:?}");
                    let same = (access, mode) == (other_access, other_mode);
                    let settled = it.is_settled_by(owner, &wanted);
                    assert_eq!(settled, holder && same, "{case:?}");
                    let deny = access & other_mode != 0 || mode & other_access != 0;
                    let way = it.is_in_the_way(Some(owner), &wanted);
                    assert_eq!(way, !holder && deny, "{case:?}");
                    // Whoever is not on the list has nothing there.
                    assert_eq!(it.is_in_the_way(None, &wanted), deny, "{case:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_settled_is_in_nobodys_way() {
        let all = [0, 1, 0].map(|owner| (owner, share(b"a", 1, 2)));
        let on_file = || {
            let all = all.into_iter().enumerate();
            all.map(|(at, (owner, share))| Listed { at, owner, share })
        };
        let mut outstanding = Outstanding::new(3).unwrap();
        let wanted = share(b"x", 2, 0);
        let mut settle = |owner, share| {
            outstanding.settle_all(on_file(), owner, &share);
            let found = outstanding.conflicts(on_file(), None, &wanted);
            (outstanding.left(), found)
        };
        assert_eq!(settle(0, share(b"b", 1, 2)), (3, true));
        assert_eq!(settle(0, share(b"a", 1, 0)), (3, true));
        assert_eq!(settle(0, share(b"a", 1, 2)), (1, true));
        assert_eq!(settle(0, share(b"a", 1, 2)), (1, true));
        assert_eq!(settle(1, share(b"a", 1, 2)), (0, false));
    }
}
