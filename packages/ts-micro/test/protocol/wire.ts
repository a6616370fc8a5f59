import { MicroError, errors } from "../../src/errors.ts";
import type { Connection, DialOptions, Message, Receiver, Transport } from "../../src/transport.ts";

/** One end of a connection whose other end is the test. */
export class Wire implements Connection {
  readonly local = "test:1";
  readonly remote = "test:2";
  readonly sent: Message[] = [];
  /** What was asked of it, in order: release, busy, pause … */
  readonly log: string[] = [];
  receiver: Receiver | undefined;
  paused = false;
  /** What the next sends reject with. */
  failure: MicroError | undefined;

  receive(receiver: Receiver): void {
    this.receiver = receiver;
  }

  async send(message: Message): Promise<void> {
    if (this.failure !== undefined) throw this.failure;
    this.sent.push(message);
  }

  pause(): void {
    this.paused = true;
    this.log.push("pause");
  }

  resume(): void {
    this.paused = false;
    this.log.push("resume");
  }

  release(): void {
    this.log.push("release");
  }

  busy(yes: boolean): void {
    this.log.push(yes ? "busy" : "idle");
  }

  close(): void {
    this.log.push("close");
  }

  destroy(): void {
    this.log.push("destroy");
  }

  /** The other end says something. */
  hear(header: Record<string, string>, body = ""): void {
    this.receiver?.message({
      header: Object.assign(Object.create(null), header) as Message["header"],
      body: Buffer.from(body),
    });
  }

  /** The connection is over. */
  lose(): void {
    this.receiver?.closed(errors.connectionLost("test", "the other end closed the connection"));
  }
}

/** A transport whose dials the test settles. */
export class Dials implements Transport {
  readonly name = "test";
  forgotten = 0;
  readonly dials: { options: DialOptions; resolve: (wire: Wire) => void; reject: (error: MicroError) => void }[] = [];

  async start(): Promise<void> {}

  dial(_node: unknown, options: DialOptions): Promise<Connection> {
    return new Promise((resolve, reject) => this.dials.push({ options, resolve, reject }));
  }

  /** Settles the oldest dial with a new wire. */
  connect(): Wire {
    const wire = new Wire();
    this.next().resolve(wire);
    return wire;
  }

  next(): Dials["dials"][0] {
    const dial = this.dials.shift();
    if (dial === undefined) throw new Error("nobody dialled");
    return dial;
  }

  forget(): void {
    this.forgotten++;
  }

  async close(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}
}

export async function turns(count = 20): Promise<void> {
  for (let i = 0; i < count; i++) await Promise.resolve();
}
