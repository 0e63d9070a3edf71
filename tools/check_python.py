"""Says in one line what is wrong with this Python; itself readable by any Python 3.6 or newer."""

import os
import sys

OLDEST, NEWEST = (3, 11), (3, 14)


def on_path(name: str) -> bool:
    folders = os.environ.get("PATH", "").split(os.pathsep)
    return any(os.access(os.path.join(folder, name), os.X_OK) for folder in folders)


def main() -> int:
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return 0
    known = [f"python3.{minor}" for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
    found = [name for name in known if on_path(name)]
    cure = f"add PYTHON={found[0]} to the make command" if found else "install one of these"
    here = f"{sys.executable} is {sys.version.split()[0]}"
    sys.stderr.write(f"error: Isotherm needs Python 3.11 to 3.14, but {here}: {cure}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
