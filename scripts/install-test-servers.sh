#!/bin/bash
# install-test-servers.sh [NAME...]: what the tests run against: installs Debian's packages, builds the rest into
# ${XDG_CACHE_HOME:-~/.cache}/ts-micro-servers, niced, the short builds first, with the seconds of each. Without names: all of the lists
# below that this machine has the tools for.
# May run in the background: a test that needs a build waits for it, and builds it if it is not there. A second run takes
# no time. What a machine cannot build is named and left out; TS_MICRO_REQUIRE_SERVERS=1 makes that, and a failed build, an error.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${XDG_CACHE_HOME:-$HOME/.cache}/ts-micro-servers

# recipe in scripts/servers: tool it needs; the order is that of the building time
servers=(
  protoc:python3
  go-peer-v4:go
  go-peer-v5:go
  go-micro-cli:go
  envoy:python3
  h2spec:go
  grpcurl:go
)

# packages of Debian, with the command of each; they take root
debian=(
  chromium:chromium
)

for name in "$@"; do
  [[ " ${servers[*]} ${debian[*]} " == *" $name:"* ]] || { echo "not in the list: $name" >&2; exit 2; }
done

wanted=" $* "
status=0
began=$SECONDS

# Two of these may run at once, and other programs use apt too.
install() {
  flock 9
  command -v "$2" >/dev/null && return
  apt-get -qq -o DPkg::Lock::Timeout=600 update >&2 &&
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "$1" >&2
}

mkdir -p "$out"
for entry in "${debian[@]}"; do
  name=${entry%%:*} command=${entry#*:}
  if [ $# -gt 0 ] && [[ $wanted != *" $name "* ]]; then continue; fi
  if ! command -v "$command" >/dev/null && { ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; }; then
    echo "LEFT OUT, no apt-get or not root: $name" >&2
    status=1
    continue
  fi
  started=$SECONDS
  if (install "$name" "$command") 9>"$out/apt.lock"; then
    echo "$name: $(command -v "$command"), $((SECONDS - started)) s"
  else
    echo "FAILED: $name" >&2
    status=1
  fi
done

for entry in "${servers[@]}"; do
  name=${entry%%:*} tool=${entry#*:}
  if [ $# -gt 0 ] && [[ $wanted != *" $name "* ]]; then continue; fi
  if ! command -v "$tool" >/dev/null; then
    echo "LEFT OUT, no $tool on the path: $name" >&2
    status=1
    continue
  fi
  started=$SECONDS
  # a download that fails once must not fail the run
  if dir=$(nice -n 10 "$here/servers/build.sh" "$name" "$out" || nice -n 10 "$here/servers/build.sh" "$name" "$out"); then
    echo "$name: $dir, $((SECONDS - started)) s"
  else
    echo "FAILED: $name" >&2
    status=1
  fi
done
echo "test servers: $((SECONDS - began)) s in all"
[ "${TS_MICRO_REQUIRE_SERVERS:-}" != 1 ] || exit $status
