// Who takes part. A file of peers/ exports `start(options)`, which gives { address, processes?, close? }, and `connect(address, options)`,
// which gives { call(name) } and what it has of the flows (lib/cells.mjs). `needs`: npm or go, beyond this repository; `only`: the cells
// that it takes part in; `install`: what npm brings of it; `about`: for the page.

const ours = (options = {}) => ({ file: "ts-micro", ours: true, install: ["ts-micro"], options });

export const reference = "raw";

/** A process of the host and nothing else. */
export const bare = "bare";

export const peers = {
  [bare]: { file: "bare", hidden: true },
  raw: { file: "raw", about: "the reference" },
  "raw-aa": { file: "raw", about: "a second copy of raw: the noise of this run" },
  "raw-protobuf": { file: "raw", options: { codec: "protobuf" }, about: "raw with a compiled Protobuf body" },

  "ts-micro": { ...ours(), about: "defaults" },
  "ts-micro-meta": { ...ours({ metadata: 6 }), about: "6 metadata entries a call" },
  "ts-micro-full": { ...ours({ metadata: 6, wrappers: 3 }), about: "6 metadata entries, 3 interceptors on each side" },
  // In processes of its own: handlers that may publish or call run under an ambient context, which on Node 20 taxes every await after it.
  "ts-micro-pubsub": { ...ours({ pubsub: true }), only: ["fanout"], about: "the default broker" },
  "ts-micro-protobuf": { ...ours({ codec: "protobuf" }), about: "Protobuf body, protobuf-es descriptors" },
  "ts-micro-fast": { ...ours({ protocol: "fast" }), about: "our fast framing" },
  "ts-micro-mucp": { ...ours({ protocol: "mucp" }), about: "mucp over HTTP/1.1: Go Micro's wire" },
  "ts-micro-grpc": { ...ours({ protocol: "grpc", codec: "protobuf" }), about: "gRPC, Protobuf body" },

  "http+undici": { file: "http", needs: "npm", install: ["undici"], about: "node:http, undici.request" },
  http2: { file: "http2", about: "node:http2, one session" },
  "grpc-js": {
    file: "grpc-js",
    needs: "npm",
    install: ["@grpc/grpc-js", "@grpc/proto-loader"],
    about: "@grpc/grpc-js on both ends",
  },
  "connect-node": {
    file: "connect",
    needs: "npm",
    install: ["@connectrpc/connect", "@connectrpc/connect-node", "@bufbuild/protobuf"],
    about: "gRPC over HTTP/2",
  },
  "moleculer-tcp": { file: "moleculer", needs: "npm", install: ["moleculer"], about: "Moleculer, TCP transporter" },
  "nest-tcp": {
    file: "nest",
    needs: "npm",
    install: nest(),
    options: { transport: "tcp" },
    about: "NestJS microservices, TCP",
  },
  "nest-grpc": {
    file: "nest",
    needs: "npm",
    install: [...nest(), "@grpc/grpc-js", "@grpc/proto-loader"],
    options: { transport: "grpc" },
    about: "NestJS microservices, gRPC",
  },
  nats: { file: "nats", needs: "npm", install: ["nats"], about: "request/reply through nats-server" },

  ...goPeers(),

  "undici->ts-micro": {
    ...ours({ protocol: "mucp" }),
    clientFile: "http",
    clientOptions: { micro: true },
    needs: "npm",
    about: "our server, plain JSON over HTTP/1.1 by undici",
  },
  "go-v5->ts-micro": {
    ...ours({ protocol: "mucp" }),
    clientFile: "go",
    clientOptions: { version: "v5", protocol: "mucp" },
    needs: "go",
    about: "our server, Go Micro's own client",
  },
  "grpc-js->ts-micro": {
    ...ours({ protocol: "grpc", codec: "protobuf" }),
    clientFile: "grpc-js",
    needs: "npm",
    about: "our server, @grpc/grpc-js's client",
  },
};

function goPeers() {
  const all = {};
  for (const version of ["v4", "v5"]) {
    for (const protocol of ["mucp", "grpc"]) {
      const about = `Go Micro ${version} on both ends, ${protocol === "mucp" ? "its own RPC" : "gRPC"}`;
      all[`go-${version}-${protocol}`] = { file: "go", needs: "go", options: { version, protocol }, about };
    }
  }
  return all;
}

function nest() {
  return ["@nestjs/common", "@nestjs/core", "@nestjs/microservices", "reflect-metadata", "rxjs"];
}

/** `all`, or names. */
export function chosenPeers(text) {
  const names = text === "all" ? Object.keys(peers).filter((name) => !peers[name].hidden) : text.split(",");
  const unknown = names.filter((name) => !(name in peers));
  if (unknown.length > 0) throw new Error(`no peer ${unknown.join(", ")}; there are ${Object.keys(peers).join(", ")}`);
  return names;
}
