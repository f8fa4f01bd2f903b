# SPDX-License-Identifier: GPL-2.0-only
"""What is to be said of the figures of nfs4.py, and which of them are not as they should be."""

from report import number, table

# Seconds that a writer may stand still after a crash takeover, and a bystander beyond its own before.
STALL, CALM = 0.3, 0.1
IDLE = 1.02
HEAD = ["way of moving", "NFS", "deleg.", "locks kept", "opens", "deleg. kept", "errors", "rival got",
        "reclaimed", "waits", "commands", "writer", "bystander", "(before)", "took"]
PARTS = {"unlock_filesystem": "stock unlock_filesystem", "release": "release with the module",
         "takeover": "takeover", "reclaims": "all reclaimed after another"}


def name(row):
    return (f"{row['who']}, {row['way']}, NFSv{row['vers']}, delegations {row['delegations']}, "
            f"{row['size']}")


def wrong(row):
    """What is wrong with a move, as sentences. That of a stock server only has to be measured."""
    if row["who"] == "stock":
        return []
    if "failed" in row:
        return [row["failed"]]
    found = []
    for what, had in ("locks", row["of"]), ("opens", row["files"]), ("delegated", row["given"]):
        if row[what] != had:
            found.append(f"{row[what]} of {had} {what} are there after it")
    if row["delegations"] == "on" and row["given"] < row["wanted"]:
        found.append(f"only {row['given']} files were delegated, so that this shows nothing")
    found += [f"{who} has got errors: {errors}" for who, errors in row["errors"].items() if errors]
    if row["rival"]:
        found.append(f"the rival got {row['rival']} locks")
    if row["tried"] != row["of"]:
        found.append(f"the rival has tried {row['tried']} of {row['of']} locks")
    if row["refused"]:
        found.append(f"{row['refused']} reclaims were refused")
    if not row["umount"]:
        found.append("it was not unmounted at the first try")
    if row["writer"] is None:
        found.append("nothing could be written after it")
    elif row["way"] == "crash" and row["size"] == "small" and row["writer"] > STALL:
        found.append(f"the writer stood still for {row['writer']:.2f} s, the target is {STALL}")
    if row["bystander"] > row["before"] + CALM:
        found.append(f"the bystander stood still for {row['bystander'] - row['before']:.2f} s longer than "
                     f"before, the target is {CALM}")
    return found


def cells(row):
    """A line of the table."""
    way = f"{row['who']}, {row['way']}", row["vers"], row["delegations"]
    if "failed" in row:
        return [*way, "failed", *["-"] * (len(HEAD) - 4)]
    return [*way, f"{row['locks']} of {row['of']}", f"{row['opens']} of {row['files']}",
            f"{row['delegated']} of {row['given']}",
            sum(sum(errors.values()) for errors in row["errors"].values()), row["rival"] or "never",
            row["reclaimed"], row["waits"], row["commands"],
            "never" if row["writer"] is None else row["writer"], row["bystander"], row["before"],
            f"{row['took']:.0f} s"]


def described(row):
    """The same in one line, with what is wrong."""
    said = ", ".join(f"{head} {cell if isinstance(cell, (str, int)) else number(cell)}"
                     for head, cell in list(zip(HEAD, cells(row)))[3:])
    return "; ".join([said, *wrong(row)])


def verdict(results):
    """All that is wrong, as lines."""
    lines = [f"{name(row)}: {what}" for row in results.get("moves", ()) for what in wrong(row)]
    lines += [f"there and back, NFSv{vers}: {row['wrong']}" for vers, row in results.get("back", {}).items()
              if row["wrong"]]
    lines += [f"{what} with the idle module takes {found['ratio']:.3f} of the time without, the target is {IDLE}"
              for what, found in results.get("idle", {}).items() if found["ratio"] > IDLE]
    return lines + [f"of many opens: {what}" for what in results.get("many", {}).get("wrong", ())]


def targets(rows):
    """The figures that the targets are about."""
    ours = [row for row in rows if row["who"] == "ours" and "failed" not in row]
    writers = [row["writer"] for row in ours if (row["way"], row["size"]) == ("crash", "small")]
    beyond = [row["bystander"] - row["before"] for row in ours]
    said = []
    if writers:
        worst = "never" if None in writers else f"{max(writers):.2f} s"
        said.append(f"a writer's wait after the address had come up, crash, small, at most: {worst} "
                    f"(target {STALL} s)")
    if beyond:
        said.append(f"a bystander's longest round trip beyond its own before, at most: {max(beyond):.2f} s "
                    f"(target {CALM} s)")
    return said


def text(results):
    """All that was measured, as text; times are in seconds."""
    rows = results.get("moves", [])
    said = [f"Linux {results.get('kernel')}; stalls of writer and bystander in s"]
    if rows:
        said += [table(HEAD, list(map(cells, rows))), *targets(rows)]
        said += [f"not measured: {name(row)}: {row['failed']}" for row in rows
                 if row["who"] == "stock" and "failed" in row]
    for vers, row in results.get("back", {}).items():
        said.append(f"there and back, NFSv{vers}: {row['moves']} moves, the slowest {row['slowest'] or 0:.1f} s, "
                    f"{row['wrong'] or 'nothing lost'}")
    for what, row in results.get("idle", {}).items():
        said.append(f"{what} over NFSv4.2: {row['without'] * 1e6:.0f} us, with the idle module "
                    f"{row['loaded'] * 1e6:.0f} us, ratio {row['ratio']:.3f} (target {IDLE}); of pairs of turns "
                    f"half are from {row['low']:.3f} to {row['high']:.3f}, and turns without it are up to "
                    f"{row['spread']:.3f} apart")
    many = results.get("many")
    if many:
        said.append(f"{many['opens']} opens: " + ", ".join(
            f"{what} {many[key]:.1f} s" for key, what in PARTS.items() if key in many))
    return "\n".join(said)
