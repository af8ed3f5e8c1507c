#!/usr/bin/env bash
# Print the path of a Chromium for the browser tests; install one if there is none.
# $CHROMIUM, then the system's, then apt-get (Debian-like, root or password-less sudo), then Playwright's own download.
set -euo pipefail
bin="$(cd "$(dirname "$0")/.." && pwd)/.venv/bin"

find_one() {
    if [ -n "${CHROMIUM:-}" ]; then
        [ -x "$CHROMIUM" ] || { echo "CHROMIUM=$CHROMIUM is not a program" >&2; exit 1; }
        echo "$CHROMIUM"
        return
    fi
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        # Ubuntu's chromium-browser can be a stub that asks for snap: only one that answers counts.
        if command -v "$name" >/dev/null && "$name" --version >/dev/null 2>&1; then
            command -v "$name"
            return
        fi
    done
    for path in "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome" "/Applications/Chromium.app/Contents/MacOS/Chromium"; do
        if [ -x "$path" ]; then echo "$path"; return; fi
    done
    return 1
}

find_one && exit 0

if command -v apt-get >/dev/null; then
    as_root=()
    [ "$(id -u)" = 0 ] || as_root=(sudo -n)
    if { "${as_root[@]}" apt-get update -q && DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -qy chromium; } >&2; then
        find_one && exit 0
    fi
fi

"$bin/python" -m playwright install chromium >&2
exec "$bin/python" -c 'from playwright.sync_api import sync_playwright
with sync_playwright() as p:
    print(p.chromium.executable_path)'
