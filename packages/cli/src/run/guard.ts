// Loaded into a service before its own code: when the command that started it has gone without a word, nobody would ever stop it.
import { Socket } from "node:net";
import { unloadable } from "./messages.ts";

/** The pipe that `run` holds open. */
const lifeline = 3;

/** How long the service may take to stop, in ms. */
const patience = process.env["MICRO_RUN_LIFELINE"];

if (patience !== undefined) {
  // Not for the processes that the service starts itself: they have no such pipe.
  delete process.env["MICRO_RUN_LIFELINE"];
  const pipe = new Socket({ fd: lifeline, readable: true, writable: false });
  pipe.on("error", () => {});
  pipe.on("close", () => {
    process.kill(process.pid, "SIGTERM");
    setTimeout(end, Number(patience)).unref();
  });
  pipe.resume();
  pipe.unref();
  // Node's own dump of a program that does not compile is longer than what it says, and starting again is no use.
  process.on("uncaughtExceptionMonitor", (error: unknown) => {
    if (!(error instanceof Error) || !ofLoading(error)) return;
    process.send?.({ [unloadable]: true });
    error.stack = (error.stack ?? "").replace(/\n {4}at [^]*$/, "");
  });
}

/** With what it has started, where it leads a group. */
function end(): void {
  process.kill(process.platform === "win32" ? process.pid : -process.pid, "SIGKILL");
}

/** A syntax error of the program itself, as Node or tsx reports it; not one that the running program met, in JSON say. */
function ofLoading(error: Error): boolean {
  const [first = ""] = /^ {4}at .*/m.exec(error.stack ?? "") ?? [];
  return (
    error.name === "TransformError" || (error instanceof SyntaxError && /\(node:internal\/(modules|vm)/.test(first))
  );
}
