import type { FileDescriptorProto } from "@bufbuild/protobuf/wkt";
import * as wkt from "@bufbuild/protobuf/wkt";

/** The files of google/protobuf, which come with protobuf-es. */
export const wellKnown: ReadonlyMap<string, FileDescriptorProto> = new Map(
  Object.entries(wkt).flatMap(([name, value]) => {
    if (!name.startsWith("file_google_protobuf_") || typeof value !== "object" || !("proto" in value)) return [];
    const { proto } = value as { proto: FileDescriptorProto };
    return [[proto.name, proto] as const];
  }),
);

/** google/api/annotations.proto and what it imports, cut down to what they declare. */
export const bundled: ReadonlyMap<string, string> = new Map([
  [
    "google/api/annotations.proto",
    `syntax = "proto3";
package google.api;
import "google/api/http.proto";
import "google/protobuf/descriptor.proto";

extend google.protobuf.MethodOptions {
  // How the method is called over HTTP.
  HttpRule http = 72295728;
}
`,
  ],
  [
    "google/api/http.proto",
    `syntax = "proto3";
package google.api;
option cc_enable_arenas = true;

// HTTP rules of a service.
message Http {
  repeated HttpRule rules = 1;
  bool fully_decode_reserved_expansion = 2;
}

// How a method is called over HTTP: verb, path template and which field the body is.
message HttpRule {
  string selector = 1;
  oneof pattern {
    string get = 2;
    string put = 3;
    string post = 4;
    string delete = 5;
    string patch = 6;
    CustomHttpPattern custom = 8;
  }
  string body = 7;
  string response_body = 12;
  repeated HttpRule additional_bindings = 11;
}

// Another verb.
message CustomHttpPattern {
  string kind = 1;
  string path = 2;
}
`,
  ],
]);
