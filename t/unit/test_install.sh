#!/bin/sh
# What make install puts where, and that make uninstall takes it away again; what the Debian package
# leaves when it is purged. Run in the build folder by make check; srcdir is the source tree.
set -eu

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
wrong=0

complain() {
    printf '%s\n' "$*"
    wrong=1
}

run_make() {
    env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL make -s "$@" DESTDIR="$root" bindir=/opt/acme/bin \
        libexecdir=/opt/acme/libexec docdir=/opt/acme/doc/mod_acme >"$root/make.log" 2>&1 && return
    cat "$root/make.log"
    exit 1
}

# expect FILE: one that ends so is installed.
expect() {
    case $(find "$root" -type f -path "*/$1" | wc -l) in
        1) ;;
        *) complain "not installed, or twice: $1" ;;
    esac
}

run_make install
for file in mod_acme.so bin/acmectl doc/mod_acme/README.md doc/mod_acme/directives.md \
    doc/mod_acme/messages.md doc/mod_acme/hooks/README.md \
    doc/mod_acme/hooks/firewall.sudoers; do
    expect "$file"
done
for file in "$srcdir"/mod_acme/doc/*.md; do
    expect "doc/mod_acme/${file##*/}"
done
for file in "$srcdir"/conf/acme.* "$srcdir"/conf/examples/*; do
    expect "doc/mod_acme/examples/${file##*/}"
done
for file in "$srcdir"/conf/hooks/*; do
    case $file in *.md | *.sudoers) continue ;; esac
    expect "libexec/mod_acme/${file##*/}"
    [ -x "$(find "$root" -path "*/libexec/mod_acme/${file##*/}")" ] || complain "not executable: $file"
done
[ -z "$(find "$root" -name '*.la')" ] || complain "libtool's files are installed"

# Documents and programs name each other where they are, not where they would be by default.
for text in /usr/local/libexec /usr/local/bin/acmectl; do
    wrong_paths=$(grep -rlI "$text" "$root" || true)
    [ -z "$wrong_paths" ] || complain "installed with $text in it: $wrong_paths"
done
grep -rq /opt/acme/libexec/mod_acme/dns-rfc2136 "$root" || complain "no document names a program"

docs=$(find "$root" -type d -path '*/doc/mod_acme')
for page in "$docs"/*.md; do
    case ${page##*/} in messages.md | directives.md) continue ;; esac # these have none
    links=$(grep -o ']([^)]*)' "$page" | sed 's/^](\([^)#]*\).*/\1/; /:/d')
    [ -n "$links" ] || [ "${page##*/}" != README.md ] || complain "the README has no links"
    for link in $links; do
        [ -e "$docs/$link" ] || complain "a link of ${page##*/} leads nowhere: $link"
    done
done

run_make uninstall
rm "$root/make.log"
left=$(find "$root" -type f)
[ -z "$left" ] || complain "left by make uninstall: $left"

store=$root/store
purge() {
    sed "s|^store=.*|store=$store|" "$srcdir/build/debian/libapache2-mod-acme.postrm" | sh -s purge
}
mkdir -p "$store/accounts" "$store/audit" "$store/certificates/shop.example.org"
touch "$store/audit/1.jsonl"
case $(purge) in
    "$store has audit in it, and stays."*"rm -r $store") ;;
    *) complain "purge does not say that there is an audit trail alone: $(purge)" ;;
esac
touch "$store/certificates/shop.example.org/key.pem"
case $(purge) in *"has audit certificates in it"*) ;; *) complain "purge does not name certificates: $(purge)" ;; esac
rm "$store/audit/1.jsonl" "$store/certificates/shop.example.org/key.pem"
[ -z "$(purge)" ] && [ ! -e "$store" ] || complain "purge leaves a store that has nothing in it"
exit "$wrong"
