"""The command: `python -m campaigns NAME`. Every module here with a `main(arguments)` is a campaign."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path
from types import ModuleType

import campaigns


def found() -> dict[str, ModuleType]:
    """The campaigns by name; a name has hyphens where its module has underscores."""
    names = [module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])]
    modules = {name.replace("_", "-"): importlib.import_module(f"campaigns.{name}") for name in names if name[0] != "_"}
    return {name: module for name, module in modules.items() if hasattr(module, "main")}


def main(arguments: list[str]) -> int:
    """1 when a campaign found a loss, 2 for a name that there is none by, else 0."""
    known = found()
    if arguments and arguments[0] in known:
        return int(known[arguments[0]].main(arguments[1:]))
    print(campaigns.__doc__)
    for name, module in known.items():
        print(f"{name:16}{(module.__doc__ or '').splitlines()[0]}")
    return 2 if arguments and not arguments[0].startswith("-") else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
