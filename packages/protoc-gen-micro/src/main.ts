#!/usr/bin/env node
import { runNodeJs } from "@bufbuild/protoplugin";
import { micro } from "./plugin.ts";

const help = `protoc-gen-micro ${micro.version}: plugin of protoc and buf that writes ts-micro clients and handlers beside the code of protoc-gen-es

  mkdir -p gen
  protoc -I. --es_out=gen --es_opt=target=ts,import_extension=js --micro_out=gen --micro_opt=target=ts,import_extension=js greeter.proto

It reads a CodeGeneratorRequest from standard input. Options are those of protoc-gen-es: target, import_extension and so on.
`;

if (["-h", "--help"].includes(process.argv[2] ?? "")) process.stdout.write(help);
else runNodeJs(micro);
