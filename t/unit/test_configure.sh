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

# Each library that is missing: a sentence with Debian's name of its package.
cat >pkg-config <<'END'
#!/bin/sh
case "$*" in *"$MISSING"*) exit 1 ;; esac
exec "$REAL_PKG_CONFIG" "$@"
END
chmod +x pkg-config
REAL_PKG_CONFIG=$(command -v pkg-config)
export REAL_PKG_CONFIG
while read -r library package; do
    if MISSING=$library "$source/configure" -C PKG_CONFIG="$PWD/pkg-config" >said 2>&1; then
        echo "it does without $library"
        exit 1
    fi
    grep -E "error: .* not found.* On Debian: apt-get install .*$package" said || { cat said; exit 1; }
done <<'END'
apr-1 libapr1-dev
apr-util-1 libaprutil1-dev
openssl libssl-dev
libcurl libcurl4-openssl-dev
libcares libc-ares-dev
jansson libjansson-dev
END

# And an httpd that is too old, by what its headers say.
mkdir old
apxs=$(sed -n "s/^APXS='\(.*\)'$/\1/p" "$OLDPWD/config.log" | head -n 1)
cat >old/ap_release.h <<'END'
#define AP_SERVER_MAJORVERSION_NUMBER 2
#define AP_SERVER_MINORVERSION_NUMBER 4
#define AP_SERVER_PATCHLEVEL_NUMBER 47
END
cat >old/apxs <<END
#!/bin/sh
case "\$*" in *INCLUDEDIR*) echo "$PWD/old" ;; *) exec "$apxs" "\$@" ;; esac
END
chmod +x old/apxs
if "$source/configure" --with-apxs="$PWD/old/apxs" >said 2>&1; then
    echo "it took an httpd that is too old"
    exit 1
fi
grep -F "is older than 2.4.48" said || { cat said; exit 1; }
