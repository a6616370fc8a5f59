#!/bin/bash
# generate.sh: writes the code of greeter.proto again: Go for both versions of Go Micro, protobuf-es and our own (`npm run build` first).
# Needs protoc (Debian: protobuf-compiler), go and node_modules; the Go plugins are those of the modules' own go.mod.
# Go Micro v4.11.0 carries no protoc-gen-micro; v5's writes the same code but for the import path.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
cd "$here/../go/v5"
GOFLAGS=-mod=readonly GOTOOLCHAIN=local GOBIN=$bin go install google.golang.org/protobuf/cmd/protoc-gen-go go-micro.dev/v5/cmd/protoc-gen-micro
cd "$here"
PATH=$bin:$PATH protoc -I. --go_out=../go/v4 --micro_out=../go/v4 greeter.proto
sed -i 's#go-micro\.dev/v5/#go-micro.dev/v4/#' ../go/v4/pb/greeter.pb.micro.go
../go/sync.sh
options=target=ts,import_extension=ts,erasable_syntax=true,elide_plugin_version=true
protoc -I. --plugin="$here/../../node_modules/.bin/protoc-gen-es" --es_out=gen --es_opt=$options \
  --plugin=protoc-gen-micro="$here/../../packages/protoc-gen-micro/dist/main.js" --micro_out=gen --micro_opt=$options greeter.proto
