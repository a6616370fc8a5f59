import { errors } from "../errors.ts";

/** A part of a module that is loaded when somebody needs it, and from then on at hand. */
export class Later<T> {
  readonly #import: () => Promise<T>;
  #loading: Promise<T> | undefined;
  #loaded: T | undefined;

  constructor(load: () => Promise<T>) {
    this.#import = load;
  }

  load = async (): Promise<void> => {
    this.#loading ??= this.#import();
    try {
      this.#loaded = await this.#loading;
    } catch (error) {
      this.#loading = undefined;
      throw error;
    }
  };

  /** @throws MicroError INVALID_STATE when `load` was not awaited */
  get now(): T {
    if (this.#loaded === undefined) throw errors.invalidState("ts-micro", "loadClient was not awaited before dial");
    return this.#loaded;
  }
}
