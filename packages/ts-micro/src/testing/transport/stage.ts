import assert from "node:assert/strict";
import type { MicroError } from "../../errors.ts";
import type { Listener } from "../../protocol.ts";
import type { Connection, Message, Transport } from "../../transport.ts";
import type { Node } from "../../wire/registry-record.ts";
import { eventually, within } from "../suite.ts";

/** One end of a connection as a test sees it. */
export class User {
  readonly connection: Connection;
  readonly inbox: Message[] = [];
  ended: MicroError | undefined;
  /** How often it was told; Infinity for a message after the end. */
  ends = 0;
  #left = false;
  onMessage: (message: Message) => void = () => {};
  #wake: () => void = () => {};

  constructor(connection: Connection) {
    this.connection = connection;
    connection.receive({
      message: (message) => {
        if (this.ended !== undefined) this.ends = Infinity;
        this.inbox.push(message);
        this.onMessage(message);
        this.#wake();
      },
      closed: (error) => {
        this.ends++;
        this.ended = error;
        this.#wake();
      },
    });
  }

  get over(): boolean {
    return this.#left || this.ended !== undefined;
  }

  close(): void {
    this.#left = true;
    this.connection.close();
  }

  /** The next message; rejects with the reason when the connection ends first. */
  next(): Promise<Message> {
    return within(
      this.#until(() => this.inbox.shift()),
      "the next message",
    );
  }

  /** The reason of the end, messages before it dropped. */
  async end(): Promise<MicroError> {
    await within(
      this.#until(() => this.ended),
      "the end of the connection",
    ).catch((error: unknown) => {
      if (this.ended === undefined) throw error;
    });
    return this.ended as MicroError;
  }

  async #until<T>(take: () => T | undefined): Promise<T> {
    for (;;) {
      const value = take();
      if (value !== undefined) return value;
      if (this.ended !== undefined) throw this.ended;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

export interface Stage {
  readonly transport: Transport;
  /** What the server was given, in order. */
  readonly accepted: User[];
  readonly node: () => Node;
  readonly serve: (serve: (user: User) => void) => Promise<Listener>;
  readonly dial: (options?: { reuse: boolean }) => Promise<User>;
  readonly close: () => Promise<void>;
}

/** Where a {@link Stage} gets its transport and its servers from. */
export interface StageInit {
  create(): Transport | Promise<Transport>;
  listen?(transport: Transport, serve: (connection: Connection) => void): Promise<Listener>;
}

export async function stage(suite: StageInit): Promise<Stage> {
  const transport = await suite.create();
  await transport.start();
  const accepted: User[] = [];
  const dialled: User[] = [];
  const listeners: Listener[] = [];
  const node = (): Node => ({ id: "suite-1", address: listeners.at(-1)?.address ?? "", metadata: {} });
  return {
    transport,
    accepted,
    node,
    async serve(serve) {
      const take = (connection: Connection): void => {
        const user = new User(connection);
        accepted.push(user);
        serve(user);
      };
      if (suite.listen === undefined && transport.listen === undefined)
        throw new Error("a transport without listen needs the suite's");
      const listener = await (suite.listen?.(transport, take) ?? transport.listen?.("", take));
      listeners.push(listener as Listener);
      return listener as Listener;
    },
    async dial({ reuse } = { reuse: true }) {
      const user = new User(await within(transport.dial(node(), { reuse, deadline: Infinity }), "a dial"));
      dialled.push(user);
      return user;
    },
    async close() {
      await within(transport.close(), "the transport closes");
      for (const listener of listeners) await within(listener.close(), "the listener closes");
      await eventually(() => accepted.every((user) => user.over), "every server end is over");
      for (const user of [...accepted, ...dialled]) assert.ok(user.ends <= 1, "the end of a connection is told once");
    },
  };
}
