#!/usr/bin/env bash
# Print the path of bubblewrap, the sandbox of `make grade`; install it if it is missing.
# $BWRAP, then the system's, then apt-get (Debian-like, root or password-less sudo).  Whether it works here is for grade.py to try.
set -euo pipefail

find_one() {
    if [ -n "${BWRAP:-}" ]; then
        [ -x "$BWRAP" ] || { echo "BWRAP=$BWRAP is not a program" >&2; exit 1; }
        echo "$BWRAP"
        return
    fi
    command -v bwrap
}

find_one && exit 0

if command -v apt-get >/dev/null; then
    as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo -n)
    if { "${as_root[@]}" apt-get update -q && DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -qy bubblewrap; } >&2; then
        find_one && exit 0
    fi
fi
echo "bubblewrap (bwrap) is missing and could not be installed: ask your system's package manager for bubblewrap" >&2
exit 1
