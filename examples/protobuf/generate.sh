#!/bin/sh
# Writes gen/ from greeter.proto. Needs protoc (Debian: protobuf-compiler) and node_modules.
set -eu
cd "$(dirname "$0")"
mkdir -p gen
protoc -I. --plugin=../../node_modules/.bin/protoc-gen-es --es_out=gen \
  --es_opt=target=ts,import_extension=ts,erasable_syntax=true greeter.proto
