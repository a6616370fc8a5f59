import type { MicroError } from "../../errors.ts";
import type { ReplyListener } from "../../protocol.ts";
import { Frame } from "../../wire/fast/frame.ts";
import type { ClientLink } from "./client.ts";
import { Stream } from "./stream.ts";

/** A stream at the client. `over` is called once, with its outcome. */
export class ClientStream extends Stream {
  readonly deadline: number;
  readonly listener: ReplyListener | undefined;
  readonly #late: () => MicroError;
  #over: ((error: MicroError | undefined) => void) | undefined;

  constructor(
    link: ClientLink,
    id: number,
    deadline: number,
    late: () => MicroError,
    over: (error: MicroError | undefined) => void,
    listener?: ReplyListener,
  ) {
    super(link, id);
    this.listener = listener;
    this.deadline = deadline;
    this.#late = late;
    this.#over = over;
  }

  end(): void {
    this.afterSends(() => {
      if (this.close()) this.link.say(Frame.end, 0, this.id, "");
    });
  }

  cancel(reason: MicroError): void {
    if (this.#over === undefined) return this.abandon(reason);
    this.link.say(Frame.cancel, 0, this.id, "");
    this.close();
    this.abandon(reason);
    this.#settle(reason);
  }

  expire(): void {
    this.cancel(this.#late());
  }

  /** The server's last word. */
  ended(error: MicroError | undefined): void {
    this.close();
    this.finish(error);
    this.dropSends();
    this.#settle(error);
  }

  override deliver(bytes: Buffer, from: number, to: number, last: boolean): void {
    super.deliver(bytes, from, to, false);
    if (last) this.ended(undefined);
  }

  override lost(error: MicroError): void {
    this.close();
    super.lost(error);
    this.#settle(error);
  }

  #settle(error: MicroError | undefined): void {
    const over = this.#over;
    if (over === undefined) return;
    this.#over = undefined;
    this.forgotten();
    this.link.streams.delete(this.id);
    over(error);
    (this.link as ClientLink).idle();
  }
}
