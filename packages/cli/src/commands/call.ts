import { advised } from "../advised.ts";
import { type Command, needArgs } from "../command.ts";
import { compact, requestBody, sorted } from "../json.ts";
import { withSession } from "../session.ts";

export const call: Command = {
  name: "call",
  summary: "Call a service and print its reply",
  usage: "SERVICE ENDPOINT [JSON…]",
  examples: [`call greeter Greeter.Hello '{"name":"John"}'`],
  async run(invocation) {
    const [service, endpoint] = needArgs(invocation, "SERVICE", "ENDPOINT") as [string, string];
    const { out, args, signal } = invocation;
    const request = requestBody(args.slice(2).join(" ") || "{}");
    const reply = await withSession(invocation, (session) =>
      advised(session, service, endpoint, () => session.client.call(service, endpoint, request, { signal })),
    );
    await out.line(compact(sorted(reply)));
  },
};
