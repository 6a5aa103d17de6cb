#!/usr/bin/env bash
# Installs the programs that the tests in this folder talk to, from Debian's packages; does nothing where all are there.
set -euo pipefail

missing=()
for package in orthanc orthanc-dicomweb dcmtk dicom3tools openssl; do
    status="$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)"
    [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

echo "Installing ${missing[*]}"
as_root=()
if [ "$(id -u)" != 0 ]; then
    as_root=(sudo)
    [ -t 0 ] || as_root=(sudo --non-interactive)
fi
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}"
# Debian starts an Orthanc of its own; the tests start theirs on loopback.
if [[ " ${missing[*]} " == *" orthanc "* ]] && command -v systemctl >/dev/null; then
    "${as_root[@]}" systemctl disable --quiet --now orthanc || true
fi
