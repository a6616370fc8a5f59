import type { CallOptions } from "../context.ts";
import { Metadata, type ResponseMetadata } from "../metadata.ts";
import type { ReplyListener } from "../protocol.ts";
import { added, isAddable } from "../wire/added.ts";

/** What the handler added to the reply of a call whose caller asks: kept until it may be told. */
export class Answer implements ReplyListener {
  #onHeader: CallOptions["onHeader"];
  #onTrailer: CallOptions["onTrailer"];
  #header: Metadata | undefined;
  #trailer: Metadata | undefined;

  constructor({ onHeader, onTrailer }: CallOptions) {
    this.#onHeader = onHeader;
    this.#onTrailer = onTrailer;
  }

  /** That of a call, if its caller asks; who waits for no reply does not. */
  static of(options: CallOptions): Answer | undefined {
    return asks(options) ? new Answer(options) : undefined;
  }

  /** Another attempt begins. */
  reset(): void {
    this.#header = this.#trailer = undefined;
  }

  header(metadata: Metadata): void {
    this.#header = addable(metadata);
  }

  trailer(metadata: Metadata): void {
    this.#trailer = addable(metadata);
  }

  /** Of a call in this process. */
  local({ givenHeader, givenTrailer }: ResponseMetadata): void {
    if (givenHeader !== undefined) this.header(carried(givenHeader));
    if (givenTrailer !== undefined) this.trailer(carried(givenTrailer));
  }

  /** The first message is there. Throws what the caller's function throws. */
  begun(): void {
    const told = this.#onHeader;
    this.#onHeader = undefined;
    if (this.#header !== undefined) told?.(this.#header);
  }

  /** It is over. Throws as `begun`. */
  ended(): void {
    this.begun();
    const told = this.#onTrailer;
    this.#onTrailer = undefined;
    if (this.#trailer !== undefined) told?.(this.#trailer);
  }

  /** It has failed, and fails with that, whatever the caller's functions throw. */
  failed(): void {
    for (const tell of [() => this.begun(), () => this.ended()]) {
      try {
        tell();
      } catch {
        // Each is called once, and the second one is called all the same.
      }
    }
  }

  /** `result`, told of. */
  async around<T>(result: Promise<T>): Promise<T> {
    let value: T;
    try {
      value = await result;
    } catch (error) {
      this.failed();
      throw error;
    }
    this.ended();
    return value;
  }
}

/** Whether a caller wants to know what the handler adds. */
export function asks({ onHeader, onTrailer, oneway }: CallOptions): boolean {
  return (onHeader !== undefined || onTrailer !== undefined) && oneway !== true;
}

/** What a wire would carry of it. */
export function carried(metadata: Metadata): Metadata {
  return Metadata.from(added(metadata));
}

function addable(metadata: Metadata): Metadata | undefined {
  const shown = Metadata.from([...metadata].filter(([name]) => isAddable(name.toLowerCase())));
  return shown.size === 0 ? undefined : shown;
}
