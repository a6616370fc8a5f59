import { flagTable } from "ts-micro";

/** A flag that every command takes. */
export interface GlobalFlag {
  /** With underscores, as the reference spells it. */
  readonly name: string;
  readonly env: string;
  readonly help: string;
  /** Components of this process read it; else it only reaches what `run` starts. */
  readonly known: boolean;
}

/** Flags of the reference whose components this process does not use. */
const handedOn: readonly (readonly [name: string, help: string, env?: string])[] = [
  ["auth", "auth by name"],
  ["auth_id", "account id"],
  ["auth_namespace", "namespace of the account (go.micro)"],
  ["auth_private_key", "private key for JWT, base64 PEM"],
  ["auth_public_key", "public key for JWT, base64 PEM"],
  ["auth_secret", "account secret"],
  ["config", "config by name"],
  ["profile", "debug profile by name", "MICRO_DEBUG_PROFILE"],
  ["runtime", "runtime by name"],
  ["runtime_source", "source of the runtime"],
  ["store", "store by name"],
  ["store_address", "addresses of the store, comma separated"],
  ["store_database", "database of the store"],
  ["store_table", "table of the store"],
  ["tracer", "tracer by name"],
  ["tracer_address", "addresses of the tracer, comma separated"],
];

/** Where the command's own default is not a service's. */
const helpHere: Readonly<Record<string, string>> = {
  log_level: "trace, debug, info, warn, error, fatal (warn; of a service that run starts: info)",
};

/** Every global flag, by name. */
export const globalFlags: ReadonlyMap<string, GlobalFlag> = new Map(
  [
    ...handedOn.map(([name, help, env = envOf(name)]): GlobalFlag => ({ name, help, env, known: false })),
    ...flagTable.map(({ flag, help }): GlobalFlag => ({
      name: flag,
      help: helpHere[flag] ?? help,
      env: envOf(flag),
      known: true,
    })),
  ]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((flag) => [flag.name, flag]),
);

function envOf(name: string): string {
  return `MICRO_${name.toUpperCase()}`;
}
