"""How large the prediction install is: under 350 MB and without PyTorch is the promise.

Usage: python benchmarks/install_size.py [ENVIRONMENT]   (by default the one of `make demo`)
"""

from __future__ import annotations

import sys
from pathlib import Path

PROMISED_MB = 350


def size_mb(folder: Path) -> float:
    """Megabytes (10^6 bytes) of the files in a folder, links not followed."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir()) / 1e6


def main() -> None:
    """Print the size of the environment and of its largest packages."""
    environment = Path(sys.argv[1] if len(sys.argv) > 1 else ".venv-demo")
    libraries = sorted(environment.glob("lib/python*/site-packages")) + sorted(
        environment.glob("Lib/site-packages")
    )
    if not libraries:
        sys.exit(f"{environment} holds no installed packages. Make it with: make demo")
    total = size_mb(environment)
    sizes = {path.name: size_mb(path) for path in libraries[0].iterdir() if path.is_dir()}
    for name, size in sorted(sizes.items(), key=lambda item: -item[1])[:8]:
        print(f"{size:8.1f} MB  {name}")
    print(f"{total:8.1f} MB  in all (promised: under {PROMISED_MB})")
    if total >= PROMISED_MB or "torch" in sizes:
        sys.exit("The prediction install breaks its promise.")


if __name__ == "__main__":
    main()
