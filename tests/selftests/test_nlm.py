# SPDX-License-Identifier: GPL-2.0-only
"""Every NLM procedure, in every version, in every phase of a unit.

On the wire a wait and a refusal are both DENIED_GRACE_PERIOD; the counters tell them
apart. The other filesystem is in no unit and gets the stock answer at the same time.
"""

from testbed import S1, S2, Case

SERVERS = ("a",)
CLIENTS = ("c1",)

GRANTED, DENIED, BLOCKED = "GRANTED", "DENIED", "BLOCKED"
IN_GRACE = "DENIED_GRACE_PERIOD"
NONE = "RPC_PROC_UNAVAIL"
VERSIONS = (4, 3, 1)


class Table:
    """Requests of one filesystem with the answers they must get."""

    def __init__(self, fs):
        self.fs, self.rows = fs, []

    def add(self, expected, do, vers, file="f", **words):
        self.rows.append((expected, {"do": do, "vers": vers, "host": self.fs.ip,
                                     "fh": f"{self.fs.name}/{file}{vers}", **words}))


def lock(svid, start, **more):
    return {"svid": svid, "start": start, "length": 10, "exclusive": True, **more}


def stock(table, vers):
    """What a server without the module answers outside of a grace period, on unlocked files.

    Left over: locks of svid 1 at 0 and 3 at 20 with a blocked request of svid 2 at 0, a
    share of f by `a`.
    """
    def add(*row, **words):
        table.add(*row, vers=vers, **words)
    add("OK", "null")
    add(GRANTED, "lock", **lock(1, 0))
    add(DENIED, "lock", **lock(2, 0))
    add(BLOCKED, "lock", **lock(2, 0, block=True))
    add(GRANTED if vers > 1 else NONE, "nm_lock", **lock(3, 20))
    add(DENIED, "test", **lock(9, 0))
    add(GRANTED, "test", **lock(9, 40))
    add(IN_GRACE, "lock", **lock(4, 40, reclaim=True))
    add(IN_GRACE if vers > 1 else NONE, "nm_lock", **lock(4, 40, reclaim=True))
    add(IN_GRACE, "lock_msg", **lock(4, 40, reclaim=True))
    add(GRANTED, "lock_msg", **lock(5, 60))
    add(DENIED, "test_msg", **lock(9, 60))
    add(GRANTED, "cancel_msg", **lock(9, 60))
    add(GRANTED, "unlock_msg", **lock(5, 60))
    add(GRANTED, "test_msg", **lock(9, 60))
    if vers == 1:
        return
    add(GRANTED, "share", access=1, deny=3, owner="a")
    add(DENIED, "share", access=1, deny=0, owner="b")
    # Stock lockd takes a share's reclaim at any time.
    add(GRANTED, "share", file="h", access=1, deny=3, owner="c", reclaim=True)
    add(GRANTED, "unshare", file="h", access=1, deny=3, owner="c")
    add(GRANTED, "share", file="h", access=1, deny=3, owner="d")
    add(GRANTED, "unshare", file="h", access=1, deny=3, owner="d")


def stock_end(table, vers):
    """What stock() left is given back, and the blocked request gets the lock."""
    def add(*row, **words):
        table.add(*row, vers=vers, **words)
    add(GRANTED, "unlock", **lock(1, 0))
    add(GRANTED, "granted")
    add(GRANTED, "unlock", **lock(2, 0))
    if vers > 1:
        add(GRANTED, "unlock", **lock(3, 20))
        add(GRANTED, "unshare", access=1, deny=3, owner="a")


def new_requests(table, vers):
    """All that could take what others still have to reclaim; returns how many they are."""
    before = len(table.rows)

    def add(*row, **words):
        table.add(*row, vers=vers, **words)
    add(IN_GRACE, "lock", **lock(6, 80))
    add(IN_GRACE, "lock", **lock(6, 80, block=True))
    add(IN_GRACE, "lock_msg", **lock(6, 80))
    add(IN_GRACE, "test", **lock(6, 80))
    add(IN_GRACE, "test_msg", **lock(6, 80))
    if vers > 1:
        add(IN_GRACE, "nm_lock", **lock(6, 80))
        add(IN_GRACE, "share", file="g", access=1, deny=0, owner="e")
    return len(table.rows) - before


def reclaims(table, vers, expected):
    """Each way to reclaim; returns how many they are."""
    before = len(table.rows)

    def add(*row, **words):
        table.add(*row, vers=vers, **words)
    add(expected, "lock", **lock(7, 100, reclaim=True))
    add(expected, "lock_msg", **lock(7, 120, reclaim=True))
    if vers > 1:
        add(expected, "nm_lock", **lock(7, 140, reclaim=True))
        add(expected, "share", file="g", access=1, deny=3, owner="r", reclaim=True)
    return len(table.rows) - before


class Nlm(Case):
    handles = {}

    def serve(self):
        self.handles = {}
        for fs in (S1, S2):
            self.cluster.mount_fs("a", fs)
            self.cluster.export("a", fs)
            self.cluster["a"].run(f"cd {fs.path} && touch f1 f3 f4 g3 g4 h3 h4")
            self.cluster.address_up("a", fs.ip)

    def play(self, *tables):
        """Send the rows, those of each table in order, and compare all answers."""
        rows = [row for table in tables for row in table.rows]
        files = {} if self.handles else {
            f"{fs.name}/{name}": (fs.ip, fs.path, name)
            for fs in (S1, S2) for name in ("f1", "f3", "f4", "g3", "g4", "h3", "h4")}
        self.handles, answers = self.cluster.nlm("c1", [step for _, step in rows], files,
                                                 self.handles)
        wrong = [f"{step}: {got}, expected {want}"
                 for (want, step), got in zip(rows, answers, strict=True) if got != want]
        self.assertEqual(wrong, [])

    def counters(self):
        unit = self.cluster.status("a")[0]
        return " ".join(f"{key}={unit[key]}" for key in ("reclaimed", "refused", "waits"))

    def everywhere(self, *makers):
        table = Table(S1)
        for vers in VERSIONS:
            for make in makers:
                make(table, vers)
        return table

    def bystander(self):
        """The whole stock table, on the other filesystem."""
        table = Table(S2)
        for vers in VERSIONS:
            stock(table, vers)
            stock_end(table, vers)
        return table

    def test_none(self):
        """Without units each procedure answers as without the module."""
        self.serve()
        self.play(self.everywhere(stock, stock_end))
        self.assertEqual([line["kind"] for line in self.cluster.status("a")], ["totals"])

    def test_recovering(self):
        """New requests wait, reclaims pass, what is given up is; the other filesystem is stock."""
        self.serve()
        self.play(self.everywhere(stock))
        self.cluster.command("a", "nlm_set_igrace", "1234 600")
        table, waits, passed, refused = Table(S1), 0, 0, 0
        for vers in VERSIONS:
            waits += new_requests(table, vers)
            passed += reclaims(table, vers, GRANTED)
            # Somebody else's: it cannot be had, grace period or not.
            table.add(DENIED, "lock", vers, **lock(8, 0, reclaim=True))
            refused += 1
            table.add(GRANTED, "cancel", vers, **lock(2, 0))
            table.add(GRANTED, "cancel_msg", vers, **lock(2, 0))
            table.add(GRANTED, "unlock", vers, **lock(1, 0))
            if vers > 1:
                table.add(GRANTED, "unlock_msg", vers, **lock(3, 20))
                table.add(GRANTED, "unshare", vers, access=1, deny=3, owner="a")
        self.play(table, self.bystander())
        unit = self.counters()
        self.cluster.command("a", "nlm_set_igrace", "1234 0")
        self.expect_recovering("a", S1, 600)
        self.log_expect("a", f"fsid=1234: recovery over, ended by hand: {unit}( released=.*)?")
        # What was reclaimed is held, what was given up is free.
        after = Table(S1)
        for vers in VERSIONS:
            for start in (100, 120) + ((140,) if vers > 1 else ()):
                after.add(DENIED, "test", vers, **lock(9, start))
            for start in (0, 20, 80):
                after.add(GRANTED, "test", vers, **lock(9, start))
            if vers > 1:
                after.add(DENIED, "share", vers, file="g", access=1, deny=0, owner="b")
                after.add(GRANTED, "share", vers, access=1, deny=3, owner="b")
        self.play(after)
        # Shares are not counted: one each by versions 3 and 4.
        self.assertEqual(unit, f"reclaimed={passed - 2} refused={refused} waits={waits}")

    def test_released(self):
        """New requests wait, reclaims are refused, giving up passes; then all is free."""
        self.serve()
        self.play(self.everywhere(stock))
        # Per version a lock and a blocked request; for two of them also an nm_lock and a share.
        # The files g and h are not held by anybody.
        self.assertEqual(self.cluster.command("a", "nlm_unlock", "1234 fence=600"),
                         "locks=5 blocked=3 shares=2 files=3 manifest=complete\n")
        table, waits, refused = Table(S1), 0, 0
        for vers in VERSIONS:
            waits += new_requests(table, vers)
            refused += reclaims(table, vers, IN_GRACE)
            for do in ("cancel", "cancel_msg"):
                table.add(GRANTED, do, vers, **lock(2, 0))
            for do in ("unlock", "unlock_msg"):
                table.add(GRANTED, do, vers, **lock(1, 0))
            if vers > 1:
                table.add(GRANTED, "unshare", vers, access=1, deny=3, owner="a")
        self.play(table, self.bystander())
        self.assertEqual(self.counters(), f"reclaimed=0 refused={refused} waits={waits}")
        self.cluster.command("a", "nlm_unlock", "1234 fence=0")
        self.expect_released("a", S1, 600, locks=5, blocked=3, shares=2, files=3)
        self.expect_released("a", S1, 0, locks=0, blocked=0, shares=0, files=0)
        self.play(self.everywhere(stock, stock_end))
