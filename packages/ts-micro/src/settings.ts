import { milliseconds, type Duration } from "./duration.ts";
import { errors } from "./errors.ts";

/** What the environment and flags can set (FLG-1 … FLG-21). Only what was set is present; a later layer wins. */
export interface Settings {
  client?: string;
  clientRequestTimeout?: Duration;
  clientRetries?: number;
  clientPoolSize?: number;
  clientPoolTtl?: Duration;
  registerTtl?: Duration;
  registerInterval?: Duration;
  server?: string;
  serverName?: string;
  serverVersion?: string;
  serverId?: string;
  serverAddress?: string;
  serverAdvertise?: string;
  serverMetadata?: Record<string, string>;
  broker?: string;
  brokerAddress?: string;
  registry?: string;
  registryAddress?: string;
  selector?: string;
  transport?: string;
  transportAddress?: string;
  logLevel?: string;
  protocol?: string;
  proxy?: string;
}

type Form = "text" | "integer" | "duration" | "seconds" | "pairs";

/** One row per flag: its name, the setting, the form, help. The environment variable is `MICRO_` and the name in upper case. */
export const flagTable: readonly {
  readonly flag: string;
  readonly key: keyof Settings;
  readonly form: Form;
  readonly help: string;
}[] = [
  { flag: "client", key: "client", form: "text", help: "client protocol: fast, mucp, grpc, http (auto)" },
  {
    flag: "client_request_timeout",
    key: "clientRequestTimeout",
    form: "duration",
    help: "time for a whole call (30s)",
  },
  { flag: "client_retries", key: "clientRetries", form: "integer", help: "most retries of a call, safe ones only (5)" },
  { flag: "client_pool_size", key: "clientPoolSize", form: "integer", help: "idle connections kept per address (100)" },
  { flag: "client_pool_ttl", key: "clientPoolTtl", form: "duration", help: "age limit of a kept connection (1m)" },
  { flag: "register_ttl", key: "registerTtl", form: "seconds", help: "lifetime of a registration, seconds (90)" },
  {
    flag: "register_interval",
    key: "registerInterval",
    form: "seconds",
    help: "time between registrations, seconds (30)",
  },
  { flag: "server", key: "server", form: "text", help: "server protocol: fast, mucp, grpc, http … (auto)" },
  { flag: "server_name", key: "serverName", form: "text", help: "name of the service" },
  { flag: "server_version", key: "serverVersion", form: "text", help: "version of the service (latest)" },
  { flag: "server_id", key: "serverId", form: "text", help: "id of this node (a new UUID)" },
  {
    flag: "server_address",
    key: "serverAddress",
    form: "text",
    help: "where to listen: host:port, :0, :5000-6000, unix:/path (:0)",
  },
  { flag: "server_advertise", key: "serverAdvertise", form: "text", help: "address told to the registry" },
  {
    flag: "server_metadata",
    key: "serverMetadata",
    form: "pairs",
    help: "node metadata, key=value; may be given again",
  },
  { flag: "broker", key: "broker", form: "text", help: "broker by name (http)" },
  {
    flag: "broker_address",
    key: "brokerAddress",
    form: "text",
    help: "where the http broker listens; addresses of a broker of your own",
  },
  { flag: "registry", key: "registry", form: "text", help: "registry by name (local and mdns together)" },
  {
    flag: "registry_address",
    key: "registryAddress",
    form: "text",
    help: "directory (local), interface (mdns); addresses of a registry of your own",
  },
  { flag: "selector", key: "selector", form: "text", help: "selector by name (p2c)" },
  { flag: "transport", key: "transport", form: "text", help: "transport by name (http)" },
  {
    flag: "transport_address",
    key: "transportAddress",
    form: "text",
    help: "addresses of a transport of your own",
  },
  { flag: "log_level", key: "logLevel", form: "text", help: "trace, debug, info, warn, error, fatal (info)" },
  {
    flag: "protocol",
    key: "protocol",
    form: "text",
    help: "how calls are spoken: auto, fast, mucp, grpc, http … (auto)",
  },
  { flag: "proxy", key: "proxy", form: "text", help: "send every call to this address or service instead" },
];

/** The settings in an environment: `MICRO_REGISTRY` and so on. Empty variables count as unset. */
export function settingsFromEnv(env: Readonly<Record<string, string | undefined>>): Settings {
  const out: Record<string, unknown> = {};
  for (const { flag, key, form } of flagTable) {
    const name = `MICRO_${flag.toUpperCase()}`;
    const text = env[name];
    if (text !== undefined && text !== "") out[key] = read(name, form, [text]);
  }
  return out;
}

function duration(text: string, bad: (want: string) => Error): Duration {
  try {
    milliseconds(text);
  } catch {
    throw bad('a duration is needed, like "500ms", "5s", "1h30m"');
  }
  return text;
}

/** The number that a text is; NaN for an empty one, which Number takes for 0. */
export function numberOf(text: string): number {
  return text.trim() === "" ? NaN : Number(text);
}

/** A setting from the texts that were given for it, none of them empty; the last one counts, except for pairs. */
export function read(name: string, form: Form, texts: readonly string[]): unknown {
  const text = texts.at(-1) as string;
  const bad = (want: string): Error => errors.badRequest("ts-micro", `${name}=${text}: ${want}`);
  switch (form) {
    case "text":
      return text;
    case "integer": {
      const value = numberOf(text);
      if (!Number.isSafeInteger(value) || value < 0) throw bad("a whole number is needed");
      return value;
    }
    case "seconds": {
      const value = numberOf(text);
      return !Number.isNaN(value) && value >= 0 ? value * 1000 : duration(text, bad);
    }
    case "duration":
      return duration(text, bad);
    case "pairs":
      return Object.fromEntries(
        texts
          .flatMap((each) => each.split(","))
          .map((pair) => {
            const at = pair.indexOf("=");
            if (at <= 0) throw bad("key=value is needed");
            return [pair.slice(0, at), pair.slice(at + 1)];
          }),
      );
  }
}
