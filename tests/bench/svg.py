# SPDX-License-Identifier: GPL-2.0-only
"""Pictures of what run.py measured, written as SVG by hand."""

import math
import statistics
from xml.sax.saxutils import escape

from report import WAYS, shown

WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 70, 60
COLORS = {"restart": "#c0392b", "plain": "#2874a6", "manifest": "#1e8449",
          "stock": "#c0392b", "ours": "#1e8449"}


class Picture:
    """A plot with a logarithmic y axis; x() and y() give pixels."""

    def __init__(self, title, xlabel, ylabel, values):
        self.low = math.floor(math.log10(min(values)))
        self.high = max(math.ceil(math.log10(max(values))), self.low + 1)
        self.parts = []
        self.text(WIDTH / 2, 20, title, size=15)
        self.text(WIDTH / 2, HEIGHT - 10, xlabel)
        self.text(16, (TOP + HEIGHT - BOTTOM) / 2, ylabel, turn=-90)
        for power in range(self.low, self.high + 1):
            at = self.y(10 ** power)
            self.line(LEFT, at, WIDTH - RIGHT, at, "#ddd")
            self.text(LEFT - 8, at + 4, f"{10.0 ** power:g}", anchor="end")
        self.line(LEFT, TOP, LEFT, HEIGHT - BOTTOM, "#333")
        self.line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, "#333")

    def y(self, value):
        part = (math.log10(value) - self.low) / (self.high - self.low)
        return HEIGHT - BOTTOM - part * (HEIGHT - TOP - BOTTOM)

    def line(self, x1, y1, x2, y2, color, width=1, dashed=False):
        dashes = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
                          f'stroke="{color}" stroke-width="{width}"{dashes}/>')

    def text(self, x, y, text, size=12, anchor="middle", turn=0, color="#222"):
        turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{color}" '
                          f'text-anchor="{anchor}"{turned}>{escape(text)}</text>')

    def legend(self, entries):
        """(name, color, dashed) in one row below the title."""
        at = LEFT
        for name, color, dashed in entries:
            self.line(at, 42, at + 22, 42, color, 3, dashed)
            self.text(at + 28, 46, name, anchor="start")
            at += 46 + 6.2 * len(name)

    def svg(self):
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
                f'width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif">\n'
                f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n'
                + "\n".join(self.parts) + "\n</svg>\n")


def curves(title, ylabel, rows, value):
    """One line for each way and number of clients, over the number of locks."""
    points = {}
    for row in rows:
        if value(row):
            points.setdefault((row["way"], row["clients"]), []).append((row["locks"], value(row)))
    if not points:
        return None
    picture = Picture(title, "locks on the moved filesystem", ylabel,
                      [y for line in points.values() for _, y in line])
    most = max(math.log10(max(x for line in points.values() for x, _ in line)), 1)

    def across(locks):
        return LEFT + 20 + math.log10(locks) / most * (WIDTH - LEFT - RIGHT - 40)

    for power in range(int(most) + 1):
        picture.text(across(10 ** power), HEIGHT - BOTTOM + 18, f"{10 ** power:,}")
    few = min(clients for _, clients in points)
    for (way, clients), line in points.items():
        line.sort()
        places = [(across(x), picture.y(y)) for x, y in line]
        for (x1, y1), (x2, y2) in zip(places, places[1:]):
            picture.line(x1, y1, x2, y2, COLORS[way], 2, clients != few)
        for x, y in places:
            picture.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{COLORS[way]}"/>')
    entries = [(WAYS[way], COLORS[way], False) for way in WAYS if any(w == way for w, _ in points)]
    others = sorted({clients for _, clients in points} - {few})
    picture.legend(entries + [(f"{n} clients", "#777", True) for n in others])
    return picture.svg()


def bars(title, ylabel, groups, names):
    """groups: [(label, {name: value})]; a bar for each name, with its value on top."""
    values = [v for _, group in groups for v in group.values() if v]
    if not values:
        return None
    picture = Picture(title, "", ylabel, [min(values) / 2, *values])
    wide = (WIDTH - LEFT - RIGHT) / len(groups)
    for index, (label, group) in enumerate(groups):
        middle = LEFT + wide * (index + 0.5)
        for line, words in enumerate(label.split("\n")):
            picture.text(middle, HEIGHT - BOTTOM + 18 + 15 * line, words, size=11)
        each = wide * 0.7 / len(names)
        for place, name in enumerate(names):
            if not group.get(name):
                continue
            x, y = middle + each * (place - len(names) / 2), picture.y(group[name])
            picture.parts.append(
                f'<rect x="{x + 2:.1f}" y="{y:.1f}" width="{each - 4:.1f}" '
                f'height="{HEIGHT - BOTTOM - y:.1f}" fill="{COLORS[name]}"/>')
            picture.text(x + each / 2, y - 4, f"{group[name]:.3g}", size=11)
    picture.legend([(text, COLORS[name], False) for name, text in names.items()])
    return picture.svg()


def stalls(rows):
    """Bars for the biggest number of locks up to 1,000 that one client holds."""
    rows = [row for row in rows if row["clients"] == 1 and row["locks"] <= 1000]
    most = max((row["locks"] for row in rows), default=0)
    of = {row["way"]: row for row in rows if row["locks"] == most}
    return bars(f"Longest wait for a lock during a move, {most:,} locks of 1 client", "seconds", [
        ("same filesystem, lock loop", {way: row["loop"]["max"] for way, row in of.items()}),
        ("same, new lock after address up", {way: row["new_up"] for way, row in of.items()}),
        ("taking node's other filesystem", {way: row["bystander"]["max"] for way, row in of.items()}),
    ], {way: WAYS[way] for way in WAYS if way in of})


def releases(rows):
    unit = "milliseconds" + (", 2 ns an instruction" if rows[0]["counted"] else "")
    return bars("Time to give up locks", unit, [
        (f"{'nlm_unlock' if row['pair'] == 'filesystem' else 'unlock_ip'}\n{row['count']:,} "
         f"{row['kind']}", {who: statistics.median(row[who]) * 1e3 for who in ("stock", "ours")})
        for row in rows], {"stock": "stock", "ours": "with the module"})


def pictures(results):
    """Name and SVG text of each picture for which there are values."""
    rows = shown(results)
    found = {
        "new-lock": curves("Next new lock after the address is up, client without locks", "seconds",
                           rows, lambda row: row["new_up"]),
        "reclaim": curves("Last reclaim after the address is up", "seconds", rows,
                          lambda row: row["last"] and row["last"] - row["up"]),
        "stalls": stalls(rows) if rows else None,
        "release": releases(results["release"]) if results.get("release") else None,
    }
    return {name: picture for name, picture in found.items() if picture}
