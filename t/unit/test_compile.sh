#!/bin/sh
# build/compile makes anew what make takes for made: it compares times alone. In a small tree of its
# own, whose configure writes a Makefile as automake's are. srcdir is the source tree.
set -eu

source=$(cd "$srcdir" && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/build" "$tree/mod_acme" "$tree/t"
cp "$source/build/compile" "$tree/build"
cd "$tree"
touch configure.ac Makefile.am
cat >configure <<'END'
#!/bin/sh
mkdir -p .deps
echo '# dummy' >.deps/a.Po
touch config.status
cat >Makefile <<MAKE
all: a.o
a.o: $(dirname "$0")/mod_acme/a.c
	cat $(dirname "$0")/mod_acme/a.[ch] >a.o
	if [ -e ../meanwhile ]; then echo later >$(dirname "$0")/mod_acme/a.h; touch a.o; fi
	rm -f ../meanwhile
	echo 'a.o: $(dirname "$0")/mod_acme/a.h' >.deps/a.Po
include .deps/a.Po
MAKE
END
chmod +x configure
touch Makefile.in
echo code >mod_acme/a.c
unset ACME_OUT_DIR ACME_TARGET MAKEFLAGS MAKELEVEL MFLAGS

# compiled SITUATION TEXT: what was compiled last has that text
compiled() {
    build/compile x >said 2>&1 || { cat said; exit 1; }
    if ! grep -qx "$2" build/out/x/a.o; then
        echo "$1: it was not compiled anew"
        exit 1
    fi
}

echo first >mod_acme/a.h
compiled "nothing is there" first
echo second >mod_acme/a.h
compiled "a header was changed" second
echo third >mod_acme/a.h
touch -d '1 hour ago' mod_acme/a.h
compiled "a header was changed, by a clock that went back" third
echo fourth >mod_acme/a.h
touch build/out/meanwhile
compiled "a header is about to change while it is read" fourth
compiled "a header was changed while it was read" later
echo '# dummy' >build/out/x/.deps/a.Po
echo fifth >mod_acme/a.h
compiled "what it includes was not noted any more" fifth
time=$(stat -c %y mod_acme/a.h)
compiled "nothing was changed" fifth
if [ "$time" != "$(stat -c %y mod_acme/a.h)" ]; then
    echo "a source that nobody changed was touched"
    exit 1
fi
