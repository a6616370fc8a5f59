#!/bin/bash
# build.sh NAME OUTDIR: builds one test server from the package registries into OUTDIR/NAME-VERSION-HASH, once.
# Prints that folder on standard output (a second call finds it ready); everything else goes to standard error.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ $# -ne 2 ] || [ ! -f "$here/$1/recipe" ]; then
  echo "usage: build.sh NAME OUTDIR; names:" $(cd "$here" && ls -d */recipe | sed 's#/recipe##') >&2
  exit 2
fi
name=$1 src=$here/$1
mkdir -p "$2"; out=$(cd "$2" && pwd)
# a recipe whose sources live elsewhere names their folder in SOURCE
SOURCE=$src
. "$src/recipe"
hash=$(for d in "$src" "$SOURCE"; do (cd "$d" && find . -type f | LC_ALL=C sort | xargs sha256sum); done | sha256sum | cut -c1-8)
dir=$out/$name-$VERSION-$hash
if [ ! -e "$dir/.ready" ]; then
  exec 9>"$out/.lock-$name"; flock 9
  if [ ! -e "$dir/.ready" ]; then
    work=$(mktemp -d "$out/.work-XXXXXX"); trap 'rm -rf "$work"' EXIT
    mkdir "$work/src"; cp -r "$SOURCE/." "$work/src"; dest=$work/dest; mkdir -p "$dest"; cd "$work/src"
    # go_build BINARY PACKAGE: pinned by go.mod and go.sum; no cgo, no symbols
    go_build() {
      CGO_ENABLED=0 GOFLAGS= GOWORK=off GOTOOLCHAIN=local \
        go build -mod=readonly -buildvcs=false -tags="${TAGS:-}" -ldflags="-s -w ${LDFLAGS:-}" -o "$dest/bin/$1" "$2" >&2
    }
    # mvn_lib: the class path named by pom.xml
    mvn_lib() {
      mvn -B -q -Dstyle.color=never -f pom.xml dependency:copy-dependencies -DoutputDirectory="$dest/lib" >&2
    }
    # pip_bin REQUIREMENT: one wheel that carries a binary, without its dependencies
    pip_bin() {
      python3 -m pip install -q --disable-pip-version-check --root-user-action=ignore --no-deps --only-binary=:all: --target "$dest/py" "$1" >&2
    }
    started=$(date +%s)
    build
    touch "$dest/.ready"; rm -rf "$dir"; mv "$dest" "$dir"
    echo "$name $VERSION built in $(( $(date +%s) - started )) s, $(du -sh "$dir" | cut -f1)" >&2
  fi
fi
echo "$dir"
