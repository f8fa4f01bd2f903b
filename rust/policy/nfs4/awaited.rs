// SPDX-License-Identifier: GPL-2.0-only

//! Who waits for whom while clients of NFSv4 have something to get back.
//!
//! Of each client it is known on which files it had anything, or nothing of that. What a file is called
//! and what exactly the client had on it is not known: whoever wants something of a listed file waits
//! until all others that had something on it have completed their reclaims.

use super::name::Known;

/// What an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The file with that inode number.
    File(u64),
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

    /// Whether it had anything on a file, if that is known.
    fn had(&self, inode: u64) -> Option<bool>;

    /// Whether it is known on which files it had anything.
    fn has_files(&self) -> bool;
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
        Target::File(inode) => other.had(inode) != Some(false),
        Target::Sought => !other.has_files(),
        Target::Any => true,
    })
}

/// Whether `client` has something to get back of what it reclaims; [`None`] if that is not known.
///
/// Whoever is through has nothing: if it is there again as a new client, the files that it had since may
/// have been somebody else's meanwhile.
pub fn lists<H: Holder>(
    holders: impl IntoIterator<Item = H>,
    client: Option<Known<'_>>,
    target: Target,
) -> Option<bool> {
    let Target::File(inode) = target else {
        return None;
    };
    let client = client?;
    let mut holders = holders.into_iter();
    match holders.find(|holder| client.is(holder.name())) {
        Some(holder) if holder.is_through() => Some(false),
        Some(holder) => holder.had(inode),
        None => Some(false),
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

    /// A client, whether it is through, and its files.
    type Case = (&'static [u8], bool, Option<&'static [u64]>);

    impl Holder for &Case {
        fn name(&self) -> &[u8] {
            self.0
        }

        fn is_through(&self) -> bool {
            self.1
        }

        fn had(&self, inode: u64) -> Option<bool> {
            Some(self.2?.contains(&inode))
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
            let found = conflicts(&[A, B], known(client), Target::File(file));
            assert_eq!(found, expected, "{client:?} {file}");
        }
    }

    #[test]
    fn who_is_through_conflicts_with_nobody() {
        let through = (A.0, true, A.2);
        assert!(!conflicts(&[through], known(b"b"), Target::File(1)));
        assert!(!conflicts(&[through], known(b"b"), Target::Any));
        let unknown = (A.0, true, None);
        assert!(!conflicts(&[unknown], known(b"b"), Target::File(1)));
    }

    #[test]
    fn whose_files_are_not_known_conflicts_with_all() {
        let unknown = (&b"u@10.0.0.5"[..], false, None);
        for target in [Target::File(9), Target::Sought, Target::Any] {
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
            (&b"a"[..], Target::File(1), Some(true)),
            (b"a", Target::File(3), Some(false)),
            (b"c", Target::File(1), Some(false)),
            (b"u", Target::File(1), None),
            (b"", Target::File(1), None),
            (b"a", Target::Any, None),
            (b"c", Target::Sought, None),
        ] {
            let found = lists(&[A, B, unknown], known(client), target);
            assert_eq!(found, expected, "{client:?} {target:?}");
        }
        // It had its turn, and others may have had theirs since.
        let through = (A.0, true, A.2);
        assert_eq!(lists(&[through], known(b"a"), Target::File(1)), Some(false));
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
            let found = may_have_had(holders, known(client), Target::File(file), false);
            assert_eq!(found, expected, "{client:?} {file}");
        }
        // Who waits for a lock of NLM was granted nothing, unless it was before.
        let target = Target::File(4);
        assert!(!may_have_had(&[A, B], known(b"a"), target, true));
        assert!(may_have_had(&[through], known(b"a"), target, true));
    }
}
