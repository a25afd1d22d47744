#!/usr/bin/env bash
# Installs what building and testing Taccola needs on Debian 12: one list, used by `make`, by CI and by people.
# Says what it is going to install; does nothing when all is there.
set -euo pipefail

packages=(gcc clang cmake ninja-build pkg-config python3 clang-format libclang-rt-14-dev
    libzstd-dev liblz4-dev zlib1g-dev libsnappy-dev libisal-dev libjansson-dev libssl-dev libcmocka-dev libxxhash-dev)

missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

echo "Taccola needs these Debian packages, and installs them now: ${missing[*]}"
sudo=""
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "Run as root: apt-get install ${missing[*]}" >&2; exit 1; }
    sudo=sudo
fi
$sudo apt-get update -qq
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
