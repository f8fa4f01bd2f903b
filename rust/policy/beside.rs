// SPDX-License-Identifier: GPL-2.0-only

//! What two lists say together: the manifest, of what clients of NLM had, and the list of what clients of
//! NFSv4 had.
//!
//! One without the other tells that the others had nothing, unless the manifest says that there is a
//! second list: then nothing is known before both are here.

/// Which of the two lists are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lists {
    /// None.
    Neither,
    /// A manifest, and it is all.
    Manifest,
    /// A manifest that says that it is not all, and not what belongs to it.
    Half,
    /// What NFSv4 clients had, and nobody else had anything.
    Nfs4,
    /// Both.
    Both,
}

impl Lists {
    /// Which are there, if a manifest is, that says so of the other, and if the other is.
    pub fn of(manifest: Option<bool>, nfs4: bool) -> Self {
        match (manifest, nfs4) {
            (None, false) => Self::Neither,
            (Some(false), false) => Self::Manifest,
            (Some(true), false) => Self::Half,
            (None, true) => Self::Nfs4,
            (Some(_), true) => Self::Both,
        }
    }

    /// Whether a new request conflicts with what is outstanding, if that is known: what each list says of
    /// it.
    pub fn conflict(self, manifest: Option<bool>, nfs4: Option<bool>) -> Option<bool> {
        match self {
            Self::Neither | Self::Half => None,
            Self::Manifest | Self::Nfs4 | Self::Both => {
                Some(manifest == Some(true) || nfs4 == Some(true))
            }
        }
    }

    /// Whether an NFSv4 client had what it reclaims, if that is known: what the list of those says of it.
    pub fn has_nfs4(self, listed: Option<bool>) -> Option<bool> {
        match self {
            Self::Neither | Self::Half => None,
            // They had nothing.
            Self::Manifest => Some(false),
            Self::Nfs4 | Self::Both => listed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: [Option<bool>; 3] = [None, Some(false), Some(true)];

    #[test]
    fn half_of_what_was_held_is_nothing() {
        let half = Lists::of(Some(true), false);
        assert_eq!(half, Lists::Half);
        for told in TOLD {
            assert_eq!(half.conflict(told, None), None);
            assert_eq!(half.has_nfs4(told), None);
        }
        assert_eq!(Lists::of(None, false).conflict(None, None), None);
    }

    #[test]
    fn a_conflict_with_either_is_one() {
        for (manifest, nfs4, expected) in [
            (Some(false), Some(false), false),
            (Some(true), Some(false), true),
            (Some(false), Some(true), true),
            (Some(true), Some(true), true),
        ] {
            let both = Lists::of(Some(true), true);
            assert_eq!(both.conflict(manifest, nfs4), Some(expected));
        }
        for told in [false, true] {
            let manifest = Lists::of(Some(false), false);
            assert_eq!(manifest.conflict(Some(told), None), Some(told));
            let nfs4 = Lists::of(None, true);
            assert_eq!(nfs4.conflict(None, Some(told)), Some(told));
        }
    }

    #[test]
    fn who_had_something_of_nfs4() {
        for told in TOLD {
            assert_eq!(Lists::Both.has_nfs4(told), told);
            assert_eq!(Lists::Nfs4.has_nfs4(told), told);
        }
        assert_eq!(Lists::Manifest.has_nfs4(None), Some(false));
    }
}
