import { type Command, noMoreArgs } from "../command.ts";
import { byBytes } from "../json.ts";
import { withSession } from "../session.ts";

export const services: Command = {
  name: "services",
  summary: "List the services in the registry",
  async run(invocation) {
    noMoreArgs(invocation, 0);
    const { out, signal } = invocation;
    const records = await withSession(invocation, ({ registry }) => registry.listServices({ signal, complete: true }));
    const names = new Set(records.map(({ name }) => name));
    for (const name of [...names].sort(byBytes)) await out.line(name);
  },
};
