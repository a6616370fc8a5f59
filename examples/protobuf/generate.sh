#!/bin/sh
# Writes gen/ from greeter.proto. Needs node_modules, and `npm run build` once.
set -eu
cd "$(dirname "$0")"
node ../../packages/cli/dist/main.js proto --out=gen --import_extension=ts greeter.proto
