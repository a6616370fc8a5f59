import type { Command } from "./command.ts";
import { call } from "./commands/call.ts";
import { describe } from "./commands/describe.ts";
import { create } from "./commands/new.ts";
import { proto } from "./commands/proto.ts";
import { run } from "./commands/run.ts";
import { services } from "./commands/services.ts";
import { stream } from "./commands/stream.ts";

const help: Command = { name: "help", aliases: ["h"], summary: "Show help of a command", usage: "[COMMAND…]" };

/** All commands, in the order of the help. */
export const commands: readonly Command[] = [services, describe, call, stream, run, create, proto, help];
