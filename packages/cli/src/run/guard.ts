// Loaded into a service before its own code: when the command that started it has gone without a word, nobody would ever stop it.
import { Socket } from "node:net";

/** The pipe that `run` holds open. */
const lifeline = 3;

if (process.env["MICRO_RUN_LIFELINE"] !== undefined) {
  // Not for the processes that the service starts itself: they have no such pipe.
  delete process.env["MICRO_RUN_LIFELINE"];
  const pipe = new Socket({ fd: lifeline, readable: true, writable: false });
  pipe.on("error", () => {});
  pipe.on("close", () => process.kill(process.pid, "SIGTERM"));
  pipe.resume();
  pipe.unref();
}
