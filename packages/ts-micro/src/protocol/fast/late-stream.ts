import type { MicroError } from "../../errors.ts";
import type { RawStream } from "../../protocol.ts";

/** A stream whose connection is being made. What is asked of it meanwhile is done in order once it is there. */
export class LateStream implements RawStream {
  readonly #ready: Promise<RawStream>;
  readonly #over: (error: MicroError | undefined) => void;
  #open!: (stream: RawStream) => void;
  #fail!: (error: MicroError) => void;
  #stream: RawStream | undefined;
  #failure: MicroError | undefined;
  onCancel: () => void = () => {};

  constructor(over: (error: MicroError | undefined) => void) {
    this.#over = over;
    this.#ready = new Promise((resolve, reject) => {
      this.#open = resolve;
      this.#fail = reject;
    });
    this.#ready.catch(() => {});
  }

  opened(stream: RawStream): void {
    this.#stream = stream;
    this.#open(stream);
  }

  failed(error: MicroError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#fail(error);
    this.#over(error);
  }

  async send(body: Uint8Array): Promise<void> {
    await (await this.#ready).send(body);
  }

  end(): void {
    this.#ready.then(
      (stream) => stream.end(),
      () => {},
    );
  }

  async read(): Promise<Uint8Array | undefined> {
    return (await this.#ready).read();
  }

  cancel(reason: MicroError): void {
    if (this.#stream !== undefined) return this.#stream.cancel(reason);
    this.onCancel();
    this.failed(reason);
  }
}
