"""Try the service as the container file installs it, in an environment that holds nothing else.

Usage: python tests/house/smoke_service.py ENVIRONMENT
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

SECONDS = 300.0


def ask(address: str, film: bytes | None = None, accept: str = "application/json") -> bytes:
    """What the service answers, to a film where there is one; raises where that is no 2xx."""
    if film is None:
        return bytes(urllib.request.urlopen(address, timeout=SECONDS).read())
    head = '--x\r\nContent-Disposition: form-data; name="file"; filename="hand.png"\r\n\r\n'
    request = urllib.request.Request(
        address,
        head.encode() + film + b"\r\n--x--\r\n",
        {"Content-Type": "multipart/form-data; boundary=x", "Accept": accept},
    )
    return bytes(urllib.request.urlopen(request, timeout=SECONDS).read())


def started(log: Path) -> str:
    """The address that the service says it listens at."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if found := re.search(r" at (http://\S+)", log.read_text(encoding="utf-8")):
            return found.group(1)
        time.sleep(0.1)
    sys.exit(f"the service did not start:\n{log.read_text(encoding='utf-8')}")


def main() -> None:
    """Start the installed command, have it read a plate in every form, and end it."""
    binaries = (Path(sys.argv[1]) / "bin").absolute()
    plates = Path(__file__).parents[2] / "src" / "bonexage" / "atlas" / "plates"
    plate = sorted(plates.glob("*.png"))[0].read_bytes()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        log = folder / "log.txt"
        with log.open("w", encoding="utf-8") as stream:
            service = subprocess.Popen(
                [binaries / "bonexage", "serve", "--port", "0", "--workers", "1"],
                cwd=folder,
                env={"PATH": os.environ["PATH"], "HOME": made, "MPLCONFIGDIR": f"{made}/matplotlib"},
                stderr=stream,
            )
        try:
            address = started(log)
            (row,) = json.loads(ask(f"{address}/v1/assessments", plate))
            pdf = ask(f"{address}/v1/assessments", plate, "application/pdf")
            ask(f"{address}/readyz")
            service.send_signal(signal.SIGTERM)
            ended = service.wait(timeout=SECONDS)
        finally:
            service.kill()
    if row["status"] != "assessed" or not pdf.startswith(b"%PDF-") or ended:
        sys.exit(f"the service is not well: {row}, {pdf[:20]!r}, exit code {ended}")
    training = [binaries / "python", "-c", "import importlib.util as u; print(u.find_spec('torch'))"]
    if subprocess.run(training, capture_output=True, text=True, check=True).stdout.strip() != "None":
        sys.exit("the service's install holds PyTorch")
    sys.stdout.write(f"The installed service works: {row['bone_age_months']} months by {row['model']}\n")


if __name__ == "__main__":
    main()
