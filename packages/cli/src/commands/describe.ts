import { errors, type ServiceRecord } from "ts-micro";
import { type Command, type Invocation, needArgs, noMoreArgs, UsageError } from "../command.ts";
import { byBytes, indented } from "../json.ts";
import { recordDoc } from "../record.ts";
import { type Session, withSession } from "../session.ts";
import { hint } from "../similar.ts";
import { naturally, yaml } from "../yaml.ts";

const service: Command = {
  name: "service",
  aliases: ["s"],
  summary: "Describe a service: its versions, endpoints, types and nodes",
  usage: "NAME",
  examples: ["describe service greeter", "describe greeter --format yaml"],
  flags: { format: { help: "json or yaml", default: "json" } },
  async run(invocation) {
    const [name] = needArgs(invocation, "NAME") as [string];
    noMoreArgs(invocation, 1);
    const { out, flags, command } = invocation;
    const { format = "json" } = flags;
    if (format !== "json" && format !== "yaml")
      throw new UsageError(`--format ${String(format)}: json or yaml`, command);
    const records = await withSession(invocation, (session) => lookUp(session, name, invocation));
    for (const record of records) {
      await out.line(
        format === "json"
          ? indented(recordDoc(record, { noMap: null, noList: null, order: byBytes }))
          : yaml(recordDoc(record, { noMap: new Map(), noList: [], order: naturally })),
      );
    }
  },
};

export const describe: Command = {
  name: "describe",
  summary: "Describe a service",
  commands: [service],
  fallback: "service",
};

async function lookUp(session: Session, name: string, { signal }: Invocation): Promise<ServiceRecord[]> {
  const { registry } = session;
  const records = await registry.getService(name, { signal, complete: true });
  if (records.length === 0) {
    const others = await registry.listServices({ signal }).catch(() => []);
    const names = others.map((other) => other.name);
    throw errors.notFound("ts-micro-cli", `service ${name} not found (asked: ${registry.name})${hint(name, names)}`);
  }
  records.sort((a, b) => byBytes(a.version, b.version));
  return Promise.all(records.map((record) => completed(session, record, signal)));
}

/** A node whose record did not fit into its registry has the endpoints itself. */
async function completed({ client }: Session, record: ServiceRecord, signal: AbortSignal): Promise<ServiceRecord> {
  const { name, version } = record;
  const shortened = record.nodes.filter(({ metadata }) => metadata["truncated"] === "true");
  if (shortened.length === 0) return record;
  const ids = new Set(shortened.map(({ id }) => id));
  try {
    const whole = await client.call<Partial<ServiceRecord>>(
      name,
      "Debug.Describe",
      {},
      {
        signal,
        filters: [(services) => services.filter((each) => each.version === version).map(only(ids))],
      },
    );
    return Array.isArray(whole.endpoints) ? { ...record, endpoints: whole.endpoints } : record;
  } catch (error) {
    if (signal.aborted) throw error;
    const why = error instanceof Error ? error.message : String(error);
    process.stderr.write(
      `micro: ${name} ${version}: the registry has no types of it, and its nodes were asked in vain: ${why}\n`,
    );
    return record;
  }
}

function only(ids: ReadonlySet<string>): (record: ServiceRecord) => ServiceRecord {
  return ({ name, version, metadata, endpoints, nodes }) => {
    return { name, version, metadata, endpoints, nodes: nodes.filter(({ id }) => ids.has(id)) };
  };
}
