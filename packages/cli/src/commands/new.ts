import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { errors } from "ts-micro";
import { type Command, needArgs, noMoreArgs, UsageError } from "../command.ts";
import { groupOf, serviceProject } from "../templates.ts";
import { version } from "../version.ts";

const service: Command = {
  name: "service",
  summary: "Write a service and a client of it into a new folder",
  usage: "NAME",
  examples: ["new service helloworld"],
  async run(invocation) {
    const [given] = needArgs(invocation, "NAME") as [string];
    noMoreArgs(invocation, 1);
    const name = nameOf(given, invocation.command);
    if (existsSync(name)) throw errors.conflict("ts-micro-cli", `${name} exists already`);
    mkdirSync(name);
    for (const [path, text] of Object.entries(serviceProject({ name, version })))
      writeFileSync(join(name, path), text, { flag: "wx" });
    await invocation.out.text(`creating service ${name}

  cd ${name}
  npm install
  npm start

and in a second terminal, in the same folder

  npm run client
  npx ts-micro-cli call ${name} ${groupOf(name)}.Hello '{"name":"Ada"}'
`);
  },
};

export const create: Command = {
  name: "new",
  summary: "Begin a project",
  commands: [service],
};

/** `github.com/acme/helloworld` and `@acme/helloworld` are `helloworld`: only Go makes an import path of the rest. */
function nameOf(given: string, command: Command): string {
  const name = given.slice(given.lastIndexOf("/") + 1);
  if (isAbsolute(given)) throw new UsageError(`${given}: a name, not a path`, command);
  if (!/^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/.test(name))
    throw new UsageError(
      `${JSON.stringify(name)}: a name has lower-case letters, digits and dashes, and begins with a letter`,
      command,
    );
  return name;
}
