import { advised } from "../advised.ts";
import { type Command, needArgs } from "../command.ts";
import { compact, sorted } from "../json.ts";
import { requestOf } from "../requests.ts";
import { sentFlags, sentMetadata } from "../sent.ts";
import { withSession } from "../session.ts";

export const call: Command = {
  name: "call",
  summary: "Call a service and print its reply",
  usage: "SERVICE ENDPOINT [JSON…|-]",
  flags: sentFlags,
  examples: [
    `call greeter Greeter.Hello '{"name":"John"}'`,
    "call -m 'X-Tenant: acme' greeter Greeter.Hello - < request.json",
  ],
  async run(invocation) {
    const [service, endpoint] = needArgs(invocation, "SERVICE", "ENDPOINT") as [string, string];
    const { out, args, signal } = invocation;
    const metadata = sentMetadata(invocation);
    const request = await requestOf(args.slice(2), signal);
    const reply = await withSession(invocation, (session) =>
      advised(session, service, endpoint, () => session.client.call(service, endpoint, request, { signal, metadata })),
    );
    await out.line(compact(sorted(reply)));
  },
};
