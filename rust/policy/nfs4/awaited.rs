// SPDX-License-Identifier: GPL-2.0-only

//! Who waits for whom while clients of NFSv4 have something to get back.
//!
//! Of each client it is known on which files it had anything, or nothing of that. What a file is called
//! and what exactly the client had on it is not known: whoever wants something of a listed file waits
//! until all others that had something on it have completed their reclaims.

/// What an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The file with that inode number.
    File(u64),
    /// A file that an OPEN is about to find. It is judged by the file then.
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

/// Whether `client` would get what another one may want back. A client without a name is another one
/// for all.
pub fn conflicts<H: Holder>(
    holders: impl IntoIterator<Item = H>,
    client: &[u8],
    target: Target,
) -> bool {
    let mut others = holders
        .into_iter()
        .filter(|holder| !holder.is_through() && (client.is_empty() || holder.name() != client));
    others.any(|other| match target {
        Target::File(inode) => other.had(inode) != Some(false),
        Target::Sought => !other.has_files(),
        Target::Any => true,
    })
}

/// Whether `client` had something of what it reclaims; [`None`] if that is not known.
pub fn lists<H: Holder>(
    holders: impl IntoIterator<Item = H>,
    client: &[u8],
    target: Target,
) -> Option<bool> {
    let Target::File(inode) = target else {
        return None;
    };
    if client.is_empty() {
        return None;
    }
    let mut holders = holders.into_iter();
    match holders.find(|holder| holder.name() == client) {
        Some(holder) => holder.had(inode),
        None => Some(false),
    }
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

    const A: Case = (b"a", false, Some(&[1, 2]));
    const B: Case = (b"b", false, Some(&[2, 3]));

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
            let found = conflicts(&[A, B], client, Target::File(file));
            assert_eq!(found, expected, "{client:?} {file}");
        }
    }

    #[test]
    fn who_is_through_conflicts_with_nobody() {
        let through = (A.0, true, A.2);
        assert!(!conflicts(&[through], b"b", Target::File(1)));
        assert!(!conflicts(&[through], b"b", Target::Any));
        let unknown = (A.0, true, None);
        assert!(!conflicts(&[unknown], b"b", Target::File(1)));
    }

    #[test]
    fn whose_files_are_not_known_conflicts_with_all() {
        let unknown = (&b"u"[..], false, None);
        for target in [Target::File(9), Target::Sought, Target::Any] {
            assert!(conflicts(&[A, unknown], b"c", target));
            assert!(!conflicts(&[unknown], b"u", target));
        }
    }

    #[test]
    fn a_file_that_is_sought_is_judged_when_it_is_found() {
        assert!(!conflicts(&[A, B], b"c", Target::Sought));
        assert!(conflicts(&[A, B], b"a", Target::Any));
        assert!(!conflicts(&[A], b"a", Target::Any));
    }

    #[test]
    fn a_reclaim_is_of_a_file_that_is_listed_for_the_client() {
        let unknown = (&b"u"[..], false, None);
        for (client, target, expected) in [
            (&b"a"[..], Target::File(1), Some(true)),
            (b"a", Target::File(3), Some(false)),
            (b"c", Target::File(1), Some(false)),
            (b"u", Target::File(1), None),
            (b"", Target::File(1), None),
            (b"a", Target::Any, None),
            (b"c", Target::Sought, None),
        ] {
            let found = lists(&[A, B, unknown], client, target);
            assert_eq!(found, expected, "{client:?} {target:?}");
        }
        // Whether it is through or not: it may not have seen the answer.
        assert_eq!(
            lists(&[(A.0, true, A.2)], b"a", Target::File(1)),
            Some(true)
        );
    }
}
