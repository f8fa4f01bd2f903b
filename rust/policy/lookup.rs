// SPDX-License-Identifier: GPL-2.0-only

//! What becomes of a request when lockd looks up its file.
//!
//! A request for what has left this node is turned away before its file is opened: the filesystem may
//! be about to be unmounted, or already be gone, and then the client would get an error instead of
//! being told to wait.

use super::{
    outcome::Count,
    verdict::{
        Op,
        Reason,
        Request,
        Verdict,
        What, //
    }, //
};

/// What becomes of a look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// No file is opened; the client is told to wait, or refused, by the same status.
    TurnAway(Count),
    /// The file is opened.
    Open {
        /// The client gives something up.
        gives_up: bool,
        /// It reclaims a share, which will be granted.
        share: bool,
    },
}

/// What is judged when a file is looked up.
///
/// A lock is judged finally when its file is open. Here it only matters whether the file may be
/// opened, so the manifest is not asked.
pub fn judged<'a>(request: &Request<'a>) -> Request<'a> {
    match request.what {
        What::Range(..) => request.of_any(),
        What::Cancel(..) | What::Share(..) | What::Unclear | What::Nfs4(..) | What::Other => {
            *request
        }
    }
}

/// What becomes of the look-up for `request`. `departed` tells whether the unit that decided has left
/// this node, if one did; `dropping`, whether locks of the filesystem are just being dropped.
pub fn lookup(
    request: &Request<'_>,
    verdict: Verdict,
    departed: Option<bool>,
    dropping: impl FnOnce() -> bool,
) -> Lookup {
    let op = request.op;
    let share = matches!(request.what, What::Share(..));
    let lock = matches!(request.what, What::Range(..));
    match (verdict, op, departed) {
        (Verdict::Refuse(reason), _, Some(_)) if !lock || reason == Reason::Released => {
            Lookup::TurnAway(Count::RefusedFor(reason))
        }
        (Verdict::Wait, Op::New, Some(true)) => Lookup::TurnAway(Count::Wait),
        // A share is given up without a lock, and shares are gone through without one.
        (_, Op::Release, Some(_)) if share && dropping() => Lookup::TurnAway(Count::Wait),
        _ => Lookup::Open {
            gives_up: op == Op::Release,
            share: op == Op::Reclaim && share,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{
        state::{
            fileid::FileId,
            range::Range,
            share::Share, //
        },
        verdict::tests::{
            request,
            OPS,
            VERDICTS, //
        },
    };

    const ID: FileId<'static> = FileId::Known(b"file");
    const RANGE: Range = Range {
        svid: 1,
        exclusive: true,
        start: 0,
        end: 9,
    };
    const SHARE: Share<'static> = Share {
        owner: b"o",
        access: 1,
        mode: 0,
    };
    const WHATS: [What<'static>; 5] = [
        What::Range(ID, RANGE),
        What::Cancel(ID, RANGE),
        What::Share(ID, SHARE),
        What::Unclear,
        What::Other,
    ];

    #[test]
    fn only_locks_are_judged_again() {
        for what in WHATS {
            let request = Request {
                what,
                ..request(Op::Reclaim)
            };
            let any = matches!(judged(&request).what, What::Other);
            let expected = matches!(what, What::Range(..) | What::Other);
            assert_eq!(any, expected, "{what:?}");
        }
    }

    /// Over the whole product of its inputs.
    #[test]
    fn table() {
        for what in WHATS {
            let (lock, share) = (
                matches!(what, What::Range(..)),
                matches!(what, What::Share(..)),
            );
            for op in OPS {
                for verdict in VERDICTS {
                    for departed in [None, Some(false), Some(true)] {
                        for dropping in [false, true] {
                            let request = Request {
                                what,
                                ..request(op)
                            };
                            let away = match verdict {
                                _ if departed.is_none() => None,
                                Verdict::Refuse(Reason::Released) => {
                                    Some(Count::RefusedFor(Reason::Released))
                                }
                                Verdict::Refuse(reason) if !lock => Some(Count::RefusedFor(reason)),
                                Verdict::Wait if op == Op::New && departed == Some(true) => {
                                    Some(Count::Wait)
                                }
                                _ if op == Op::Release && share && dropping => Some(Count::Wait),
                                _ => None,
                            };
                            let expected = away.map_or(
                                Lookup::Open {
                                    gives_up: op == Op::Release,
                                    share: op == Op::Reclaim && share,
                                },
                                Lookup::TurnAway,
                            );
                            let found = lookup(&request, verdict, departed, || dropping);
                            let case = (what, op, verdict, departed, dropping);
                            assert_eq!(found, expected, "{case:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn only_shares_that_are_given_up_ask_for_drops() {
        for what in WHATS {
            for op in OPS {
                let request = Request {
                    what,
                    ..request(op)
                };
                let mut asked = false;
                lookup(&request, Verdict::Pass, Some(true), || {
                    asked = true;
                    false
                });
                let expected = op == Op::Release && matches!(what, What::Share(..));
                assert_eq!(asked, expected, "{what:?} {op:?}");
            }
        }
    }
}
