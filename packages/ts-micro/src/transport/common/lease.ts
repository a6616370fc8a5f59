import { errors, type MicroError } from "../../errors.ts";
import type { Body } from "../../protocol.ts";
import type { Connection, Message, Receiver } from "../../transport.ts";

/**
 * One user's hold on a pooled connection. After `release`, `close` or `destroy` it is empty, so that a former user can neither write into
 * nor cut the exchange of the next one.
 */
export class Lease implements Connection {
  readonly local: string;
  readonly remote: string;
  readonly sendLines: Connection["sendLines"];
  #link: Connection | undefined;

  constructor(link: Connection) {
    this.#link = link;
    this.local = link.local;
    this.remote = link.remote;
    if (link.sendLines !== undefined) this.sendLines = (lines, body) => this.#lines(lines, body);
  }

  receive(receiver: Receiver): void {
    this.#link?.receive(receiver);
  }

  send(message: Message): Promise<void> {
    if (this.#link !== undefined) return this.#link.send(message);
    return Promise.reject(gone());
  }

  pause(): void {
    this.#link?.pause();
  }

  resume(): void {
    this.#link?.resume();
  }

  busy(yes: boolean): void {
    this.#link?.busy(yes);
  }

  release(): void {
    this.#take()?.release();
  }

  close(): void {
    this.#take()?.close();
  }

  destroy(): void {
    this.#take()?.destroy();
  }

  #lines(lines: readonly string[], body: Body): void {
    if (this.#link === undefined) throw gone();
    this.#link.sendLines?.(lines, body);
  }

  #take(): Connection | undefined {
    const link = this.#link;
    this.#link = undefined;
    return link;
  }
}

function gone(): MicroError {
  return errors.connectionLost("ts.micro.transport", "the connection was given back or closed");
}
