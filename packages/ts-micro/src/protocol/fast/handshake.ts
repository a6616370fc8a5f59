import type { Socket } from "node:net";
import type { Clock } from "../../clock.ts";
import { errors } from "../../errors.ts";
import type { Inlet } from "../../internal/inlet.ts";
import { alpnName, preface, readPreface, version } from "../../wire/fast/frame.ts";
import { wireId } from "./link.ts";

/**
 * Says the preface and waits for the peer's. The bytes that came behind it; undefined when what is there does not speak our framing: an
 * answer of another protocol, or none in time, as when something in between lets only HTTP through.
 */
export function shakeHands(
  socket: Socket,
  inlet: Inlet,
  { clock, answerTimeout }: { readonly clock: Clock; readonly answerTimeout: number },
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  // A TLS end that chose another protocol has said so already.
  const chosen = (socket as Socket & { alpnProtocol?: string | false | null }).alpnProtocol;
  if (typeof chosen === "string" && chosen !== alpnName) return Promise.resolve(undefined);
  return new Promise((resolve, reject) => {
    let seen: Buffer = Buffer.alloc(0);
    const settle = (then: () => void): void => {
      clock.cancel(timer);
      signal.removeEventListener("abort", aborted);
      socket.off("close", gone).off("end", gone).off("error", ignore);
      socket.pause();
      then();
    };
    inlet.reading = (chunk, length) => {
      seen = Buffer.concat([seen, chunk.subarray(0, length)]);
      const found = readPreface(seen);
      if (found === undefined) return;
      settle(() => {
        if (found === false || found.version < 1 || found.version > version) resolve(undefined);
        else resolve(seen.subarray(found.end));
      });
    };
    const gone = (): void => settle(() => resolve(undefined));
    const aborted = (): void =>
      settle(() => reject(errors.connectionLost(wireId, "the peer was closed while it connected")));
    const timer = clock.after(answerTimeout, gone);
    signal.addEventListener("abort", aborted, { once: true });
    socket.on("error", ignore).on("close", gone).on("end", gone);
    inlet.attach(socket);
    socket.write(preface(version));
    socket.resume();
    if (signal.aborted) aborted();
  });
}

// What broke shows in "close".
function ignore(): void {}
