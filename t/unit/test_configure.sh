#!/bin/sh
# configure names what is wrong with what it was given. srcdir is the source tree.
set -eu

source=$(cd "$srcdir" && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
if [ -e "$source/config.status" ]; then
    echo "skipped: the source tree is configured in place, so another configure refuses to run"
    exit 77
fi

cd "$folder"
for apxs in /nonexistent/apxs /; do
    if "$source/configure" --with-apxs="$apxs" >said 2>&1; then
        echo "it took $apxs for apxs"
        exit 1
    fi
    grep -F "error: $apxs, given with --with-apxs, is not a program" said || { cat said; exit 1; }
done
