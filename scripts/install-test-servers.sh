#!/bin/bash
# install-test-servers.sh [NAME...]: builds what the tests run against into ${XDG_CACHE_HOME:-~/.cache}/ts-micro-servers, niced, the
# short builds first, with the seconds of each. Without names: all of the list below that this machine has the tools for.
# May run in the background: a test that needs a build waits for it, and builds it if it is not there. A second run takes
# no time. What a machine cannot build is named and left out; TS_MICRO_REQUIRE_SERVERS=1 makes that, and a failed build, an error.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${XDG_CACHE_HOME:-$HOME/.cache}/ts-micro-servers

# recipe in scripts/servers: tool it needs; the order is that of the building time
servers=(
  go-peer-v4:go
  go-peer-v5:go
  go-micro-cli:go
  envoy:python3
  h2spec:go
  grpcurl:go
)

for name in "$@"; do
  [[ " ${servers[*]} " == *" $name:"* ]] || { echo "not in the list: $name" >&2; exit 2; }
done

wanted=" $* "
status=0
began=$SECONDS
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
