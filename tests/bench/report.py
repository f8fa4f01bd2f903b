# SPDX-License-Identifier: GPL-2.0-only
"""Tables and ratios of what run.py measured, as text. Times are in seconds unless it says ms."""

import statistics

import idle
import release

WAYS = {"restart": "stock, nfsd restarted", "plain": "module, no manifest",
        "manifest": "module, manifest"}
PARTS = ("save list", "address down", "save manifest", "unexport", "release", "umount", "mount",
         "grace", "load manifest", "export", "restart nfsd", "address up", "notify",
         "end recovery")
NEW_LOCK_TARGET, RATE_TARGET, OVER_TARGET = 40, 0.95, 1.0


def table(head, rows):
    """Columns as wide as they must be; numbers to the right."""
    rows = [[cell if isinstance(cell, str) else number(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    # Words stand to the left.
    left = [i for i in range(len(head)) if rows and not any(c.isdigit() for c in rows[0][i])
            and rows[0][i] != "-"]
    lines = ["  ".join(cell.ljust(w) if i in left else cell.rjust(w)
                       for i, (cell, w) in enumerate(zip(row, widths))).rstrip()
             for row in [head, *rows]]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def number(value):
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value}"
    return f"{value:.0f}" if value >= 1000 else f"{value:.2f}"


def verdict(good):
    return "met" if good else "MISSED"


def neighbours(first, second):
    """Median of the ratios of turns that came one after the other: a busy machine hits both."""
    return statistics.median(a / b for a, b in zip(first, second))


def shown(results):
    return [row for row in results.get("moves", []) if not row["quiet"]]


def moves(rows):
    head = ["way of moving", "clients", "locks", "lost", "new lock", "after up", "other's",
            "last reclaim", "reclaims/s", "stall moved", "(before)", "stall other", "(before)",
            "release"]
    return table(head, [
        [WAYS[r["way"]], r["clients"], r["locks"], r["lost"], r["new"],
         r["new"] and r["new"] - r["up"], r["new_up"], r["last"], r["rate"],
         r["loop"]["max"], r["loop"]["before"], r["bystander"]["max"], r["bystander"]["before"],
         r["parts"]["release"]["seconds"]] for r in rows])


def parts(rows):
    names = [name for name in PARTS if any(name in r["parts"] for r in rows)]
    head = ["way of moving", "clients", "locks", *names, "| up at", "first at", "last at", "over at"]
    return table(head, [
        [WAYS[r["way"]], r["clients"], r["locks"],
         *(r["parts"].get(name, {}).get("seconds") for name in names),
         r["up"], r["first"], r["last"], over(r)] for r in rows])


def over(row):
    """When the recovery was over; of a stock one only the first lock that it let through."""
    return row["new_other"] if row["way"] == "restart" else row["over"]


def new_lock(rows):
    """(a): the next new lock after the address is up, and what happened until then."""
    wanted = [r["locks"] for r in rows if r["locks"] <= 1000 and r["clients"] == 1]
    found = {r["way"]: r for r in rows if r["clients"] == 1 and r["locks"] == max(wanted, default=0)}
    if not {"manifest", "restart"} <= set(found):
        return []
    ours, stock = found["manifest"], found["restart"]
    up, notify = ours["up"], ours["parts"]["notify"]
    ratio = stock["new_up"] / ours["new_up"]
    after = ours["over"] - ours["last"] if ours["over"] and ours["last"] else None
    stall = stock["loop"]["max"] / ours["loop"]["max"]
    lines = [
        f"new lock of a client that holds none, {ours['locks']} locks of 1 client on the "
        f"filesystem: {ours['new_up']:.2f} s after the address is up with a manifest, "
        f"{stock['new_up']:.2f} s stock, ratio {ratio:.1f} "
        f"(target >= {NEW_LOCK_TARGET}: {verdict(ratio >= NEW_LOCK_TARGET)})",
        f"  its parts, counted from the address up: told to reclaim {notify['at'] - up:.2f} to "
        f"{notify['at'] + notify['seconds'] - up:.2f} s, first reclaim "
        f"{number(ours['first'] - up)} s, last reclaim {number(ours['last'] - up)} s; "
        f"new lock of the client with the locks {number(ours['new'] - up)} s "
        f"(stock {number(stock['new'] - stock['up'])} s)",
        f"  longest stall of a lock loop on the moved filesystem: {ours['loop']['max']:.2f} s "
        f"with a manifest, {stock['loop']['max']:.2f} s stock, ratio {stall:.1f}"]
    if after is not None:
        lines.append(f"  recovery over {after:.2f} s after the last reclaim "
                     f"(target <= {OVER_TARGET:g} s: {verdict(after <= OVER_TARGET)})")
    return lines


def rates(results):
    """(b): reclaims per second with and without a manifest."""
    quiet = [r for r in results.get("moves", []) if r["quiet"] and r["rate"]]
    of = {way: [r["rate"] for r in quiet if r["way"] == way] for way in ("plain", "manifest")}
    if not all(of.values()):
        return []
    ratio = statistics.median(of["manifest"]) / statistics.median(of["plain"])
    written = {way: " ".join(f"{rate:.0f}" for rate in values) for way, values in of.items()}
    return [f"reclaims per second, {quiet[0]['locks']} locks, nothing else going on: "
            f"{written['manifest']} with a manifest, {written['plain']} without, ratio of medians "
            f"{ratio:.3f}, of neighbours {neighbours(of['manifest'], of['plain']):.3f}, of the "
            f"quickest {max(of['manifest']) / max(of['plain']):.3f} "
            f"(target >= {RATE_TARGET}: {verdict(ratio >= RATE_TARGET)})"]


def both(row, names, scale, digits):
    """The medians of both, each with its spread, in units of 1/scale seconds."""
    return [f"{statistics.median(row[name]) * scale:.{digits}f} "
            f"({min(row[name]) * scale:.{digits}f}-{max(row[name]) * scale:.{digits}f})"
            for name in names]


def clock(row):
    return " (2 ns an instruction)" if row["counted"] else ""


def reclaims(rows):
    """(b) again, without what clients and the network do."""
    lines = []
    for r in rows:
        ours, plain = both(r, ("manifest", "plain"), 1e6, 1)
        lines.append(f"lockd's CPU time for a reclaim, {r['count']} {r['kind']}{clock(r)}: {ours} us "
                     f"with a manifest, {plain} us without, so ratio of rates {r['ratio']:.3f} "
                     f"(target >= {RATE_TARGET}: {verdict(r['ratio'] >= RATE_TARGET)})")
    return lines


def releases(rows):
    lines = []
    for r in rows:
        ours, stock = both(r, ("ours", "stock"), 1e3, 2)
        what = {"filesystem": "nlm_unlock fence=60 against stock's unlock_filesystem",
                "address": "unlock_ip with the module against without"}[r["pair"]]
        lines.append(f"{what}, {r['count']} {r['kind']}{clock(r)}: {ours} ms against {stock} ms, "
                     f"ratio of medians {r['ratio']:.3f}, of neighbours "
                     f"{neighbours(r['ours'], r['stock']):.3f}, of the quickest "
                     f"{min(r['ours']) / min(r['stock']):.3f} "
                     f"(target <= {release.TARGET}: {verdict(r['ratio'] <= release.TARGET)})")
    return lines


def idling(result):
    without, loaded = (statistics.median(result[who]) * 1e6 for who in ("without", "loaded"))
    return (f"lock and unlock: {without:.0f} us without the module, {loaded:.0f} us with it idle, "
            f"ratio of medians {result['ratio']:.3f}, of neighbours "
            f"{neighbours(result['loaded'], result['without']):.3f} (target <= {idle.TARGET}: "
            f"{verdict(result['ratio'] <= idle.TARGET)}; medians without it differ by "
            f"{result['spread']:.3f} among themselves)")


def records(result):
    """The first lock of a client, and those after it."""
    lines = []
    for what, times in result.items():
        stock, ours = (statistics.median(times[who]) * 1e3 for who in ("stock", "ours"))
        lines.append(f"{what} lock and unlock of a client through a floating address: {ours:.2f} ms "
                     f"against {stock:.2f} ms as stock, ratio {times['ratio']:.2f}")
    return lines


def text(results):
    """All there is, also of a run that failed on the way."""
    blocks = []
    if rows := shown(results):
        blocks += [
            "Moves. new lock: next one of a client whose locks moved, from the start and after the "
            "address\nis up; other's: of a client without locks, after the address is up; stalls: "
            "longest round trip\nof a lock loop on the moved filesystem and on the taking node's "
            "other one (in the 3 s before).\nstock is measured with 1 client only, each grace "
            "period costs a minute or two.",
            moves(rows), "Parts of the moves (seconds each), and when something happened:",
            parts(rows)]
    ratios = new_lock(shown(results)) + rates(results)
    ratios += reclaims(results.get("reclaim", [])) + releases(results.get("release", []))
    if "idle" in results:
        ratios.append(idling(results["idle"]))
    ratios += records(results.get("record", {}))
    return "\n\n".join([*blocks, "\n".join(ratios)])
