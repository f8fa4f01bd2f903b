# SPDX-License-Identifier: GPL-2.0-only
"""Whether a document has files word for word: documented.py DOCUMENT FILE..."""

import pathlib
import sys


def main():
    document = pathlib.Path(sys.argv[1]).read_text()
    for name in sys.argv[2:]:
        lines = pathlib.Path(name).read_text().expandtabs(8).splitlines()
        text = "\n".join(f"    {line}" if line else "" for line in lines)
        if text not in document:
            sys.exit(f"{sys.argv[1]} does not have {name} as it is")


if __name__ == "__main__":
    main()
