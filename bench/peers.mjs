// Who takes part. A file of peers/ exports `start(options)`, which gives { address, processes?, close? }, and `connect(address, options)`, which
// gives { call(name) } and what it has of the flows (lib/cells.mjs). `needs`: what must be there; `install`: what npm brings of it.

const ours = (options = {}) => ({ file: "ts-micro", ours: true, install: ["ts-micro"], options });

export const reference = "raw";

/** A process of the host and nothing else. */
export const bare = "bare";

export const peers = {
  [bare]: { file: "bare", hidden: true },
  raw: { file: "raw" },
  "raw-aa": { file: "raw", about: "a second copy of raw: the noise of this run" },
  "raw-protobuf": { file: "raw", options: { codec: "protobuf" } },

  "ts-micro": ours(),
  "ts-micro-meta": { ...ours({ metadata: 6 }), about: "6 metadata entries a call" },
  "ts-micro-full": { ...ours({ metadata: 6, wrappers: 3 }), about: "6 metadata entries, 3 interceptors on each side" },
  "ts-micro-protobuf": { ...ours({ codec: "protobuf" }), about: "Protobuf body, protobuf-es descriptors" },
  "ts-micro-fast": ours({ protocol: "fast" }),
  "ts-micro-mucp": { ...ours({ protocol: "mucp" }), about: "mucp over HTTP/1.1: Go Micro's wire" },
  "ts-micro-grpc": ours({ protocol: "grpc", codec: "protobuf" }),

  "http+undici": { file: "http", needs: "npm", install: ["undici"], about: "node:http, undici.request" },
  http2: { file: "http2", about: "node:http2, one session" },
  "grpc-js": { file: "grpc-js", needs: "npm", install: ["@grpc/grpc-js", "@grpc/proto-loader"] },
  "connect-node": {
    file: "connect",
    needs: "npm",
    install: ["@connectrpc/connect", "@connectrpc/connect-node", "@bufbuild/protobuf"],
    about: "gRPC over HTTP/2",
  },
  "moleculer-tcp": { file: "moleculer", needs: "npm", install: ["moleculer"] },
  "nest-tcp": { file: "nest", needs: "npm", install: nest(), options: { transport: "tcp" } },
  "nest-grpc": {
    file: "nest",
    needs: "npm",
    install: [...nest(), "@grpc/grpc-js", "@grpc/proto-loader"],
    options: { transport: "grpc" },
  },
  nats: { file: "nats", needs: "npm", install: ["nats"], about: "request/reply through nats-server" },

  "go-v4-mucp": { file: "go", needs: "go", options: { version: "v4", protocol: "mucp" } },
  "go-v4-grpc": { file: "go", needs: "go", options: { version: "v4", protocol: "grpc" } },
  "go-v5-mucp": { file: "go", needs: "go", options: { version: "v5", protocol: "mucp" } },
  "go-v5-grpc": { file: "go", needs: "go", options: { version: "v5", protocol: "grpc" } },

  "undici->ts-micro": {
    ...ours({ protocol: "mucp" }),
    clientFile: "http",
    clientOptions: { micro: true },
    needs: "npm",
    about: "our server, plain JSON over HTTP/1.1 by undici",
  },
  "grpc-js->ts-micro": { ...ours({ protocol: "grpc", codec: "protobuf" }), clientFile: "grpc-js", needs: "npm" },
};

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
