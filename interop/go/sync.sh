#!/bin/bash
# sync.sh [--check]: writes v5/ from v4/, the only difference being the import path of Go Micro; go.mod, go.sum and
# compat.go belong to each version. With --check it writes nothing and fails when v5/ is not what it would write.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
status=0
for file in v4/*.go v4/pb/*.go; do
  name=${file#v4/}
  [ "$name" != compat.go ] || continue
  if [ "${1-}" = --check ]; then
    sed 's#go-micro\.dev/v4/#go-micro.dev/v5/#' "$file" | cmp -s - "v5/$name" || { echo "v5/$name is not $file: run interop/go/sync.sh" >&2; status=1; }
  else
    sed 's#go-micro\.dev/v4/#go-micro.dev/v5/#' "$file" >"v5/$name"
  fi
done
exit $status
