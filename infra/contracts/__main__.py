"""`make contracts`: writes contracts/ anew, and the page of it into build/contracts/, which is not kept."""

from __future__ import annotations

from infra.contracts import page
from infra.contracts.document import ROOT, document
from infra.contracts.kept import FOLDER, write

PAGE_FOLDER = ROOT / "build" / "contracts"


def main() -> None:
    changed = write(FOLDER)
    for name in changed:
        print(f"{FOLDER.name}/{name}")
    print(f"{len(changed)} files of {FOLDER.name}/ changed")
    print(f"page: {page.write(document(), PAGE_FOLDER).as_uri()}")


if __name__ == "__main__":
    main()
