import { memoryBroker } from "../../../src/broker/memory.ts";
import { createService, type Service, type ServiceOptions } from "../../../src/index.ts";
import { memoryLogger } from "../../../src/logger/memory.ts";
import { memoryRegistry } from "../../../src/registry/memory.ts";

/** Options of a service without anything outside of this process but its port. */
export function alone(options: Partial<ServiceOptions> = {}): ServiceOptions<string> {
  return {
    name: "greeter",
    registry: memoryRegistry(),
    broker: memoryBroker(),
    logger: memoryLogger(),
    address: "127.0.0.1:0",
    env: false,
    settle: 0,
    ...options,
  };
}

/** What the greeter's handlers saw. */
export class Seen {
  readonly metadata: Record<string, string>[] = [];
  readonly deadlines: number[] = [];
  cancelled = 0;
  running = 0;
  hello = 0;
  open: () => void = () => {};
}

export function greeter(options: Partial<ServiceOptions> = {}, seen: Seen = new Seen()): Service {
  const gate = new Promise<void>((resolve) => (seen.open = resolve));
  return createService(alone(options)).handle("Greeter", {
    hello({ name }: { name?: string }, ctx) {
      seen.hello++;
      seen.metadata.push(ctx.metadata.toObject());
      seen.deadlines.push(ctx.deadline);
      return { msg: `Hello ${name ?? ""}` };
    },
    async wait(_: object, ctx) {
      seen.running++;
      ctx.signal.addEventListener("abort", () => seen.cancelled++);
      await gate;
      return { msg: "waited" };
    },
    async *count({ to, fail }: { to: number; fail?: boolean }) {
      for (let n = 1; n <= to; n++) yield { n };
      if (fail === true) throw new Error("no more");
    },
    async *ticks(_: object, ctx) {
      seen.running++;
      ctx.signal.addEventListener("abort", () => seen.cancelled++);
      for (let n = 0; !ctx.signal.aborted; n++) {
        yield { n, pad: "x".repeat(1000) };
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    },
  });
}

/** The first chunk-decoded answer in `text`, with what came after it. */
export function answers(text: string): { status: number; headers: string; body: string }[] {
  const out: { status: number; headers: string; body: string }[] = [];
  while (text !== "") {
    const end = text.indexOf("\r\n\r\n");
    if (end < 0) break;
    const headers = text.slice(0, end);
    text = text.slice(end + 4);
    const length = /content-length: *(\d+)/i.exec(headers);
    let body = "";
    if (/transfer-encoding: *chunked/i.test(headers)) {
      for (;;) {
        const line = text.indexOf("\r\n");
        const size = parseInt(text.slice(0, line), 16);
        if (line < 0 || Number.isNaN(size)) break;
        if (size === 0) {
          text = text.slice(text.indexOf("\r\n\r\n", line - 2) + 4);
          break;
        }
        body += text.slice(line + 2, line + 2 + size);
        text = text.slice(line + 4 + size);
      }
    } else {
      body = text.slice(0, Number(length?.[1] ?? 0));
      text = text.slice(body.length);
    }
    out.push({ status: Number(headers.slice(9, 12)), headers, body });
  }
  return out;
}

export function post(path: string, body: string, headers = ""): string {
  return `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${headers}\r\n${body}`;
}

/** A call of mucp, whose answer has `Micro-Id`. */
export function mucpHello(name: string, id = "7", headers = ""): string {
  return post(
    "/",
    JSON.stringify({ name }),
    `Micro-Endpoint: Greeter.Hello\r\nMicro-Service: greeter\r\nMicro-Id: ${id}\r\n${headers}`,
  );
}
