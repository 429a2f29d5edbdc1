"""The commands `licences`, `weaknesses` and `sbom`.

Exit codes: 0 nothing found, 1 something found, 3 weaknesses are not known, since nobody could be asked.
"""

from __future__ import annotations

import sys
from pathlib import Path

from inventory import licences, locked, weaknesses

TARGET = Path("dist") / "audiences.cdx.json"


def main(arguments: list[str]) -> int:
    """Carries out the commands in turn; the exit code of the worst."""
    commands = {"licences": check_licences, "weaknesses": check_weaknesses, "sbom": write_sbom}
    return max(commands[name]() for name in arguments)


def check_licences() -> int:
    """Says which licence is none that we may use."""
    complaints = licences.complaints()
    print("\n".join(complaints) or f"licences: {sum(1 for _ in locked.libraries())} libraries, all on the list")
    return 1 if complaints else 0


def check_weaknesses() -> int:
    """Says which weaknesses are known, or that nobody could be asked."""
    code, lines = weaknesses.verdict(*weaknesses.ask())
    print("\n".join(lines))
    return code


def write_sbom() -> int:
    """Writes the SBOM."""
    from inventory import sbom

    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(sbom.document(), encoding="utf-8")
    print(TARGET)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
