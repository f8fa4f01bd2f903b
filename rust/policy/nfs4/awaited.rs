// SPDX-License-Identifier: GPL-2.0-only

//! Who waits for whom while clients of NFSv4 have something to get back.
//!
//! Of each client it is known what it had on which files, or nothing of that. What a file is called is not
//! known. Whoever wants something waits if that conflicts with what others had who have not completed their
//! reclaims.

use super::{
    had::{
        Ask,
        Had, //
    },
    name::Known, //
};

/// What an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The file with that inode number, and what is asked of it.
    File(u64, Ask),
    /// A file that an OPEN, REMOVE or RENAME is about to find. It is judged by the file then.
    Sought,
    /// Any file of the filesystem: a directory has its name, or it is not known which it is.
    Any,
}

/// A client that had something.
pub trait Holder {
    /// How it calls itself.
    fn name(&self) -> &[u8];

    /// Whether it has back what it wanted.
    fn is_through(&self) -> bool;

    /// What it had on a file; `Some(None)` if nothing, and [`None`] if that is not known.
    fn had(&self, inode: u64) -> Option<Option<Had<'_>>>;

    /// Whether it is known on which files it had anything.
    fn has_files(&self) -> bool;

    /// Whether it cannot get back all it had if another one gets that.
    fn keeps_away(&self, inode: u64, ask: Ask) -> bool {
        match self.had(inode) {
            None => true,
            Some(had) => had.is_some_and(|had| had.conflicts(ask)),
        }
    }
}

/// Whether `client` would get what another one may want back. One that is not known is another one for
/// all.
pub fn conflicts<H: Holder>(
    holders: impl IntoIterator<Item = H>,
    client: Option<Known<'_>>,
    target: Target,
) -> bool {
    let is_it = |holder: &H| client.is_some_and(|client| client.is(holder.name()));
    let mut others = holders
        .into_iter()
        .filter(|holder| !holder.is_through() && !is_it(holder));
    others.any(|other| match target {
        Target::File(inode, ask) => other.keeps_away(inode, ask),
        Target::Sought => !other.has_files(),
        Target::Any => true,
    })
}

/// Whether `client` has something to get back of what it reclaims; [`None`] if that is not known.
///
/// Whoever is through has nothing: if it is there again as a new client, the files that it had since may
/// have been somebody else's meanwhile. Who had the file gets more of it than is listed if nobody else
/// wants that back: the answer to what it gave up last may not have reached it.
pub fn lists<H: Holder>(
    holders: impl IntoIterator<Item = H> + Clone,
    client: Option<Known<'_>>,
    target: Target,
) -> Option<bool> {
    let Target::File(inode, ask) = target else {
        return None;
    };
    let known = client?;
    let found = holders.clone().into_iter().find(|it| known.is(it.name()));
    match found {
        Some(holder) if !holder.is_through() => Some(match holder.had(inode)? {
            Some(had) => had.covers(ask) || !conflicts(holders, client, target),
            None => false,
        }),
        Some(_) | None => Some(false),
    }
}

/// Whether `client` may have had something of what it reclaims that it was granted since: when it was
/// through, or where nobody else had anything to get back. `elsewhere` tells whether another list has
/// something of that kind.
pub fn may_have_had<H: Holder>(
    holders: impl IntoIterator<Item = H> + Clone,
    client: Option<Known<'_>>,
    target: Target,
    elsewhere: bool,
) -> bool {
    let is_it = |holder: &H| client.is_some_and(|client| client.is(holder.name()));
    let through = holders
        .clone()
        .into_iter()
        .any(|it| it.is_through() && is_it(&it));
    let unlisted = lists(holders.clone(), client, target) == Some(false);
    unlisted && (through || !elsewhere && !conflicts(holders, client, target))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::nfs4::had::{
        Lock,
        Modes,
        Span,
        Whole, //
    };

    /// A client, whether it is through, and its files.
    type Case = (&'static [u8], bool, Option<&'static [u64]>);

    impl Holder for &Case {
        fn name(&self) -> &[u8] {
            self.0
        }

        fn is_through(&self) -> bool {
            self.1
        }

        fn had(&self, inode: u64) -> Option<Option<Had<'_>>> {
            let had = Had {
                whole: Whole::ANYTHING,
                shared: &[],
                exclusive: &[],
            };
            Some(self.2?.contains(&inode).then_some(had))
        }

        fn has_files(&self) -> bool {
            self.2.is_some()
        }
    }

    const A: Case = (b"a@10.0.0.5", false, Some(&[1, 2]));
    const B: Case = (b"b@10.0.0.5", false, Some(&[2, 3]));

    fn known(name: &[u8]) -> Option<Known<'_>> {
        Known::through(name, Some([10, 0, 0, 5].into()))
    }

    #[test]
    fn only_files_of_others_conflict() {
        for (client, file, expected) in [
            (&b"a"[..], 1, false),
            (b"a", 2, true),
            (b"a", 3, true),
            (b"a", 4, false),
            (b"b", 1, true),
            (b"c", 3, true),
            (b"c", 4, false),
            (b"", 1, true),
            (b"", 4, false),
        ] {
            let found = conflicts(&[A, B], known(client), Target::File(file, Ask::Other));
            assert_eq!(found, expected, "{client:?} {file}");
        }
    }

    #[test]
    fn who_is_through_conflicts_with_nobody() {
        let through = (A.0, true, A.2);
        assert!(!conflicts(
            &[through],
            known(b"b"),
            Target::File(1, Ask::Other)
        ));
        assert!(!conflicts(&[through], known(b"b"), Target::Any));
        let unknown = (A.0, true, None);
        assert!(!conflicts(
            &[unknown],
            known(b"b"),
            Target::File(1, Ask::Other)
        ));
    }

    #[test]
    fn whose_files_are_not_known_conflicts_with_all() {
        let unknown = (&b"u@10.0.0.5"[..], false, None);
        for target in [Target::File(9, Ask::Other), Target::Sought, Target::Any] {
            assert!(conflicts(&[A, unknown], known(b"c"), target));
            assert!(!conflicts(&[unknown], known(b"u"), target));
        }
    }

    #[test]
    fn a_file_that_is_sought_is_judged_when_it_is_found() {
        assert!(!conflicts(&[A, B], known(b"c"), Target::Sought));
        assert!(conflicts(&[A, B], known(b"a"), Target::Any));
        assert!(!conflicts(&[A], known(b"a"), Target::Any));
    }

    #[test]
    fn a_reclaim_is_of_a_file_that_is_listed_for_the_client() {
        let unknown = (&b"u@10.0.0.5"[..], false, None);
        for (client, target, expected) in [
            (&b"a"[..], Target::File(1, Ask::Other), Some(true)),
            (b"a", Target::File(3, Ask::Other), Some(false)),
            (b"c", Target::File(1, Ask::Other), Some(false)),
            (b"u", Target::File(1, Ask::Other), None),
            (b"", Target::File(1, Ask::Other), None),
            (b"a", Target::Any, None),
            (b"c", Target::Sought, None),
        ] {
            let found = lists(&[A, B, unknown], known(client), target);
            assert_eq!(found, expected, "{client:?} {target:?}");
        }
        // It had its turn, and others may have had theirs since.
        let through = (A.0, true, A.2);
        assert_eq!(
            lists(&[through], known(b"a"), Target::File(1, Ask::Other)),
            Some(false)
        );
    }

    #[test]
    fn what_was_granted_since_is_on_no_list() {
        let through = (A.0, true, A.2);
        let unknown = (&b"u@10.0.0.5"[..], false, None);
        for (holders, client, file, expected) in [
            // It got all back, and more; that others miss something of the same file does not matter.
            (&[through, B][..], &b"a"[..], 1, true),
            (&[through, B], b"a", 2, true),
            (&[through, unknown], b"a", 1, true),
            // It is listed, or had to wait for others.
            (&[A, B], b"a", 1, false),
            (&[A, B], b"a", 3, false),
            (&[A, B], b"a", 4, true),
            (&[A, B], b"c", 4, true),
            (&[A, B], b"c", 3, false),
            (&[unknown], b"u", 1, false),
            (&[A, B], b"", 4, false),
        ] {
            let found = may_have_had(
                holders,
                known(client),
                Target::File(file, Ask::Other),
                false,
            );
            assert_eq!(found, expected, "{client:?} {file}");
        }
        // Who waits for a lock of NLM was granted nothing, unless it was before.
        let target = Target::File(4, Ask::Other);
        assert!(!may_have_had(&[A, B], known(b"a"), target, true));
        assert!(may_have_had(&[through], known(b"a"), target, true));
    }

    /// A client that had bytes of file 7 locked exclusively.
    struct Locked(&'static [u8], &'static [Span]);

    impl Holder for &Locked {
        fn name(&self) -> &[u8] {
            self.0
        }

        fn is_through(&self) -> bool {
            false
        }

        fn had(&self, inode: u64) -> Option<Option<Had<'_>>> {
            let whole = Whole {
                access: Modes::BOTH,
                ..Whole::default()
            };
            let had = Had {
                whole,
                shared: &[],
                exclusive: self.1,
            };
            Some((inode == 7).then_some(had))
        }

        fn has_files(&self) -> bool {
            true
        }
    }

    #[test]
    fn only_what_conflicts_waits_and_what_nobody_misses_is_given() {
        let [a, b] = [
            Locked(b"a@10.0.0.5", &[Span { start: 0, end: 9 }]),
            Locked(b"b@10.0.0.5", &[Span { start: 20, end: 29 }]),
        ];
        let lock = |start, end| {
            let span = Span { start, end };
            let exclusive = true;
            Target::File(7, Ask::Lock(Lock { exclusive, span }))
        };
        for (client, target, conflict, listed) in [
            (&b"c"[..], lock(5, 5), true, false),
            (b"c", lock(10, 19), false, false),
            (b"a", lock(0, 9), false, true),
            // More than it had, but of nobody else.
            (b"a", lock(0, 19), false, true),
            (b"a", lock(0, 20), true, false),
            (b"b", lock(0, 0), true, false),
            (b"b", lock(10, 30), false, true),
        ] {
            assert_eq!(conflicts([&a, &b], known(client), target), conflict);
            assert_eq!(lists([&a, &b], known(client), target), Some(listed));
        }
        let open = |deny| {
            let access = Modes::BOTH;
            Target::File(7, Ask::Open { access, deny })
        };
        assert!(!conflicts([&a, &b], known(b"c"), open(Modes::NONE)));
        assert!(conflicts([&a, &b], known(b"c"), open(Modes::WRITE)));
        assert_eq!(lists([&a], known(b"c"), open(Modes::NONE)), Some(false));
    }
}
