import { advised } from "../advised.ts";
import type { Command } from "../command.ts";
import { compact, sorted } from "../json.ts";
import { requestOf } from "../requests.ts";
import { withSession } from "../session.ts";
import { targetFlags, targetOf } from "../target.ts";

export const call: Command = {
  name: "call",
  summary: "Call a service and print its reply",
  usage: "SERVICE ENDPOINT [JSON…|-]",
  flags: targetFlags,
  examples: [
    `call greeter Greeter.Hello '{"name":"John"}'`,
    "call -m 'X-Tenant: acme' greeter Greeter.Hello - < request.json",
  ],
  async run(invocation) {
    const target = targetOf(invocation);
    const { service, endpoint, words, options } = target;
    const request = await requestOf(words, options.signal);
    const reply = await withSession(invocation, (session) =>
      advised(session, "unary", target, () => session.client.call(service, endpoint, request, options)),
    );
    await invocation.out.line(compact(sorted(reply)));
  },
};
