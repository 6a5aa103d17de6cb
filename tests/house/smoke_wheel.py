"""Try the wheel's installed command from an empty folder, in an environment that holds nothing else.

Usage: python tests/house/smoke_wheel.py ENVIRONMENT
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path


def _run(*command: str | Path, folder: Path) -> str:
    """What a command prints, run as by someone who has set nothing up."""
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={**kept, "HOME": str(folder), "MPLCONFIGDIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{command} exited {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def main() -> None:
    """Ask the command who it is, and let it read a plate of the carried atlas."""
    binaries = (Path(sys.argv[1]) / ("Scripts" if os.name == "nt" else "bin")).absolute()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        where = _run(binaries / "python", "-c", "import bonexage; print(bonexage.__path__[0])", folder=folder)
        package = Path(where.strip())
        if "site-packages" not in package.parts:
            sys.exit(f"not the installed package: {package}")
        plate = sorted((package / "atlas" / "plates").glob("*.png"))[0]
        version = _run(binaries / "bonexage", "--version", folder=folder)
        _run(binaries / "python", "-m", "bonexage", "--help", folder=folder)
        said = _run(binaries / "bonexage", "predict", plate, "--sex", "F", folder=folder)
        if "months" not in said:
            sys.exit(f"no bone age in:\n{said}")
        held = _run(binaries / "python", "-m", "pip", "list", folder=folder)
        if "torch" in held:
            sys.exit("the prediction install holds PyTorch")
    sys.stdout.write(f"The installed command works: {version.strip()}, {said.strip().splitlines()[-1]}\n")


if __name__ == "__main__":
    main()
