import type { ConnectionOptions, TlsOptions as NodeTlsOptions } from "node:tls";

/** TLS of a service, as Node's `tls.createServer` takes it: `cert` and `key` at least; `ca` with `requestCert` for mTLS. */
export type TlsOptions = Pick<
  NodeTlsOptions,
  "cert" | "key" | "ca" | "passphrase" | "requestCert" | "rejectUnauthorized" | "minVersion" | "ciphers"
>;

/** TLS of a client, as Node's `tls.connect` takes it. Verification is on; `rejectUnauthorized: false` turns it off and warns once. */
export type ClientTlsOptions = Pick<
  ConnectionOptions,
  "ca" | "cert" | "key" | "passphrase" | "servername" | "rejectUnauthorized" | "minVersion" | "ciphers"
>;
