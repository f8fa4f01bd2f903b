// SPDX-License-Identifier: GPL-2.0-only

//! Claims: why a client may have what it reclaims although nobody would say so later.
//!
//! When `nlmsvc_lock()` is entered, the file is at hand and the list is asked. The claim that comes of
//! that is looked at where the function asks for the grace period, which it does more than once, and
//! when it returns.

use super::{
    outcome::Outcome,
    verdict::{
        Op,
        Reason,
        Request,
        Verdict, //
    }, //
};

/// How a client has by now what it wants to reclaim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Has {
    /// It holds all of it.
    All,
    /// It holds some of it, or all of it shared, and may have the rest.
    Rest,
}

/// What a unit has to tell what clients may reclaim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// Nothing.
    None,
    /// A manifest.
    Whole,
    /// A manifest, but locks were taken away since: who got one in between is not on it.
    Lacking,
}

/// Why a client may have what it reclaims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Claim {
    /// It is on the manifest.
    Listed = 1,
    /// Who asks holds some of it, and the rest is on the manifest.
    Held,
    /// Who asks holds all of it.
    HasAll,
}

impl Claim {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Listed, Self::Held, Self::HasAll];

    /// The claim of a request for a lock that got `verdict` from a unit with such a `list`. `has`
    /// tells what the client holds; that it takes time to find out.
    pub fn of(
        op: Op,
        verdict: Verdict,
        list: List,
        has: impl FnOnce() -> Option<Has>,
    ) -> Option<Self> {
        match (op, verdict) {
            (Op::Reclaim, Verdict::Pass) => match list {
                List::None => None,
                List::Whole => Some(Self::Listed),
                // It may be held already, and on no list.
                List::Lacking => match has() {
                    Some(Has::All) => Some(Self::HasAll),
                    Some(Has::Rest) | None => Some(Self::Listed),
                },
            },
            (Op::Reclaim, Verdict::Refuse(Reason::Unlisted)) => match has()? {
                Has::All => Some(Self::HasAll),
                Has::Rest => Some(Self::Held),
            },
            (Op::Reclaim, Verdict::Refuse(Reason::Released | Reason::Address))
            | (Op::Reclaim, Verdict::Stock | Verdict::Wait)
            | (Op::New | Op::Release | Op::Return, _) => None,
        }
    }
}

/// What is judged when a request with such a claim asks for the grace period.
pub fn judged<'a>(claim: Option<Claim>, request: &Request<'a>) -> Request<'a> {
    match claim {
        // That it is listed is known, but not whether it has left meanwhile.
        Some(Claim::Listed) => request.of_any(),
        Some(Claim::Held | Claim::HasAll) | None => *request,
    }
}

/// What becomes of the verdict on a request with such a claim.
pub fn overrule(claim: Option<Claim>, verdict: Verdict) -> Verdict {
    match (claim, verdict) {
        // It was granted here, as new, before the client was told to reclaim.
        (Some(Claim::Held | Claim::HasAll), Verdict::Refuse(Reason::Unlisted)) => Verdict::Pass,
        (_, verdict) => verdict,
    }
}

/// What a client with such a claim is told when `nlmsvc_lock()` ends like that.
pub fn answer(claim: Option<Claim>, outcome: Outcome) -> Outcome {
    match (claim, outcome) {
        // It waited for the lock here, has been granted it, and the server is still telling it so:
        // the function takes the reclaim for a repeated request to wait. Who does not have all of it
        // does wait.
        (Some(Claim::HasAll), Outcome::Blocked) => Outcome::Granted,
        (_, outcome) => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::verdict::{
        tests::{
            request,
            OPS,
            VERDICTS, //
        },
        What, //
    };

    const CLAIMS: [Option<Claim>; 4] = [
        None,
        Some(Claim::Listed),
        Some(Claim::Held),
        Some(Claim::HasAll),
    ];

    #[test]
    fn only_reclaims_have_claims() {
        for op in OPS {
            for verdict in VERDICTS {
                for list in [List::None, List::Whole, List::Lacking] {
                    for has in [None, Some(Has::All), Some(Has::Rest)] {
                        let mut asked = false;
                        let claim = Claim::of(op, verdict, list, || {
                            asked = true;
                            has
                        });
                        let unlisted = verdict == Verdict::Refuse(Reason::Unlisted);
                        let passes = verdict == Verdict::Pass && list != List::None;
                        let lacking = verdict == Verdict::Pass && list == List::Lacking;
                        let expected = match (op, verdict, has) {
                            (Op::Reclaim, _, Some(Has::All)) if lacking => Some(Claim::HasAll),
                            (Op::Reclaim, _, _) if passes => Some(Claim::Listed),
                            (Op::Reclaim, _, Some(Has::All)) if unlisted => Some(Claim::HasAll),
                            (Op::Reclaim, _, Some(Has::Rest)) if unlisted => Some(Claim::Held),
                            _ => None,
                        };
                        let case = (op, verdict, list, has);
                        assert_eq!(claim, expected, "{case:?}");
                        // It costs time under lockd's locks.
                        let asks = op == Op::Reclaim && (unlisted || lacking);
                        assert_eq!(asked, asks, "{case:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn who_holds_it_is_not_refused_for_the_list() {
        for claim in CLAIMS {
            for verdict in VERDICTS {
                let holds = matches!(claim, Some(Claim::Held | Claim::HasAll));
                let expected = match verdict {
                    Verdict::Refuse(Reason::Unlisted) if holds => Verdict::Pass,
                    verdict => verdict,
                };
                assert_eq!(overrule(claim, verdict), expected, "{claim:?} {verdict:?}");
            }
        }
    }

    #[test]
    fn the_list_is_asked_once() {
        for claim in CLAIMS {
            let request = Request {
                what: What::Unclear,
                ..request(Op::Reclaim)
            };
            let asked = judged(claim, &request).what;
            let any = matches!(asked, What::Other);
            assert_eq!(any, claim == Some(Claim::Listed), "{claim:?}");
        }
    }

    #[test]
    fn who_has_all_does_not_wait() {
        for claim in CLAIMS {
            for outcome in [Outcome::Granted, Outcome::Blocked, Outcome::Refused] {
                let expected = match outcome {
                    Outcome::Blocked if claim == Some(Claim::HasAll) => Outcome::Granted,
                    outcome => outcome,
                };
                assert_eq!(answer(claim, outcome), expected, "{claim:?} {outcome:?}");
            }
        }
    }
}
