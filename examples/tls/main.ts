import { readFileSync } from "node:fs";
import { createClient, createService, isMicroError } from "ts-micro";

// The tests' own authority and certificate, for 127.0.0.1.
const file = (name: string) =>
  readFileSync(new URL(`../../packages/ts-micro/test/fixtures/tls/${name}.pem`, import.meta.url));

const vault = createService({
  name: "vault",
  address: "127.0.0.1:0",
  tls: { cert: file("server"), key: file("server-key") },
  logLevel: "warn",
}).handle("Vault", { open: () => ({ open: true }) });
await vault.start();

// The node says that it is secure; the client knows the authority.
const client = createClient({ tls: { ca: file("ca") } });
console.log(await client.call("vault", "Vault.Open"));

// One that does not know it: certificates are verified.
const stranger = createClient({ retries: 0 });
await stranger
  .call("vault", "Vault.Open")
  .catch((error: unknown) => console.log(isMicroError(error) ? error.code : error));
await vault.stop();
