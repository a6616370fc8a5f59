import { rename, rm, writeFile } from "node:fs/promises";
import { errors } from "../../errors.ts";
import type { ServiceRecord } from "../../registry.ts";
import { Beacon } from "./beacon.ts";
import type { Directory } from "./directory.ts";
import { encodeRecord, keyOf, recordLimit, type LocalRecord } from "./record.ts";

/** Publishes what this registry says: its beacon first, then its record, so that a record that can be seen can be checked. */
export class Owner {
  readonly #directory: Directory;
  readonly #id: string;
  readonly #record: () => LocalRecord;
  readonly #beacon: Beacon;
  #written: { readonly text: string; readonly key: string } | undefined;
  #running: Promise<void> = Promise.resolve();
  #queued: Promise<void> | undefined;
  #used = false;
  #closed = false;

  /** `record` tells what to say now. */
  constructor(directory: Directory, id: string, record: () => LocalRecord) {
    this.#directory = directory;
    this.#id = id;
    this.#record = record;
    this.#beacon = new Beacon(directory.beacon(id));
  }

  /** Whether it ever had something to say. */
  get used(): boolean {
    return this.#used;
  }

  /** Resolves when what is registered now can be read by others; writes nothing when it already can. */
  publish(): Promise<void> {
    this.#used = true;
    this.#queued ??= (async () => {
      await this.#running;
      this.#queued = undefined;
      const write = this.#closed ? Promise.resolve() : this.#write();
      this.#running = write.catch(() => {});
      await write;
    })();
    return this.#queued;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#queued?.catch(() => {});
    await this.#running;
    if (this.#used) await rm(this.#directory.record(this.#id), { force: true }).catch(() => {});
    await this.#beacon.close();
  }

  async #write(): Promise<void> {
    const text = encodeRecord(this.#record());
    const path = this.#directory.record(this.#id);
    if (text === this.#written?.text && (await this.#beacon.lit()) && (await keyOf(path))?.key === this.#written.key)
      return;
    await this.#directory.ensure();
    const draft = this.#directory.draft(this.#id);
    try {
      await this.#beacon.light();
      await writeFile(draft, text, { mode: 0o600 });
      await replace(draft, path);
    } catch (error) {
      throw errors.registryUnavailable(
        "local",
        `the local registry cannot write ${path}: ${(error as Error).message}`,
        error,
      );
    }
    const key = await keyOf(path);
    this.#written = key === undefined ? undefined : { text, key: key.key };
  }
}

/** Windows refuses while somebody reads the old file. */
async function replace(from: string, to: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await rename(from, to);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (attempt >= 20 || (code !== "EPERM" && code !== "EACCES" && code !== "EBUSY")) throw error;
      await new Promise((resolve) => setTimeout(resolve, attempt));
    }
  }
}

/** @throws MicroError PAYLOAD_TOO_LARGE for more than a record can hold. */
export function checkSize(services: readonly ServiceRecord[]): void {
  // Room for the few fields around them.
  const bytes = Buffer.byteLength(JSON.stringify(services)) + 1024;
  if (bytes > recordLimit)
    throw errors.payloadTooLarge(
      "local",
      `records of ${bytes} bytes; at most ${recordLimit} can be registered with the local registry`,
    );
}
