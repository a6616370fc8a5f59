import type { MicroError } from "../../errors.ts";
import type { RawStream } from "../../protocol.ts";

interface Asked {
  go(stream: RawStream): void;
  fail(error: MicroError): void;
}

/** A stream whose connection is being made. What is asked of it meanwhile is done at once and in order when it is there. */
export class LateStream implements RawStream {
  readonly #over: (error: MicroError | undefined) => void;
  #asked: Asked[] = [];
  #failure: MicroError | undefined;
  behind: RawStream | undefined;
  onCancel: () => void = () => {};

  constructor(over: (error: MicroError | undefined) => void) {
    this.#over = over;
  }

  opened(stream: RawStream): void {
    this.behind = stream;
    for (const each of this.#take()) each.go(stream);
  }

  failed(error: MicroError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    for (const each of this.#take()) each.fail(error);
    this.#over(error);
  }

  send(body: Uint8Array): Promise<void> {
    return this.#ask((stream) => stream.send(body));
  }

  end(): void {
    const go = (stream: RawStream): void => stream.end();
    if (this.behind !== undefined) go(this.behind);
    else if (this.#failure === undefined) this.#asked.push({ go, fail: () => {} });
  }

  read(): Promise<Uint8Array | undefined> {
    return this.#ask((stream) => stream.read());
  }

  cancel(reason: MicroError): void {
    if (this.behind !== undefined) return this.behind.cancel(reason);
    this.onCancel();
    this.failed(reason);
  }

  #ask<T>(work: (stream: RawStream) => Promise<T>): Promise<T> {
    if (this.behind !== undefined) return work(this.behind);
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) =>
      this.#asked.push({ go: (stream) => void work(stream).then(resolve, reject), fail: reject }),
    );
  }

  #take(): Asked[] {
    const asked = this.#asked;
    this.#asked = [];
    return asked;
  }
}
