"""Where the child process begins: it makes the package findable without importing the service, and runs the child.

The child needs few modules of the package. Importing them in the ordinary way would import the package's own
`__init__`s first, and with them the readers of CSV and the archive and metadata libraries: 60 ms of each workbook.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType


def main() -> None:
    """Run the child, with `audiences` and `audiences.tables` as bare folders of modules."""
    folder = Path(__file__).parent
    for name, place in (("audiences", folder.parent), ("audiences.tables", folder)):
        package = ModuleType(name)
        package.__path__ = [str(place)]
        sys.modules[name] = package
    from audiences.tables import workbook_child

    workbook_child.main()


if __name__ == "__main__":
    main()
