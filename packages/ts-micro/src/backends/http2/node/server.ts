import { channel } from "node:diagnostics_channel";
import type { Socket } from "node:net";
import { connectionGrain, Deadlines } from "../../../internal/deadlines.ts";
import type { Http2Dropped, Http2Server, Http2ServerOptions } from "../../http2.ts";
import { NodeConnection } from "./connection.ts";

const droppedChannel = channel("ts-micro:http2:dropped");

/** The connections of one acceptor on node:http2. */
export class NodeServer implements Http2Server {
  readonly options: Http2ServerOptions;
  readonly #connections = new Set<NodeConnection>();
  readonly #deadlines: Deadlines<NodeConnection>;
  #idle: (() => void)[] = [];
  #draining = false;
  #closed = false;

  constructor(options: Http2ServerOptions) {
    this.options = options;
    this.#deadlines = new Deadlines(
      options.clock,
      () => this.#connections,
      (connection) => connection.expire(),
      connectionGrain,
    );
  }

  accept(socket: Socket, bytes: Buffer): void {
    if (this.#closed || socket.destroyed) return void socket.destroy();
    const connection = new NodeConnection(this, socket, bytes);
    this.#connections.add(connection);
    this.#deadlines.add(connection.deadline);
    if (this.#draining) connection.drain(true);
  }

  drain(): Promise<void> {
    this.#draining = true;
    for (const connection of this.#connections) connection.drain(false);
    return this.#busy() ? new Promise((resolve) => this.#idle.push(resolve)) : Promise.resolve();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#deadlines.close();
    const closed = [...this.#connections].map((connection) => connection.destroy());
    await Promise.all(closed);
    this.wake();
  }

  watch(deadline: number): void {
    this.#deadlines.add(deadline);
  }

  left(connection: NodeConnection): void {
    this.#connections.delete(connection);
    this.wake();
  }

  dropped(event: Http2Dropped): void {
    if (droppedChannel.hasSubscribers) droppedChannel.publish(event);
  }

  /** A connection has nothing under way, or is gone. */
  wake(): void {
    if (this.#idle.length === 0 || this.#busy()) return;
    const waiting = this.#idle;
    this.#idle = [];
    for (const resolve of waiting) resolve();
  }

  #busy(): boolean {
    for (const connection of this.#connections) if (connection.busy) return true;
    return false;
  }
}
