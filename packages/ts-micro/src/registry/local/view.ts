import { rm } from "node:fs/promises";
import { uptime } from "node:os";
import type { Clock } from "../../clock.ts";
import { RecordTable } from "../common/record-table.ts";
import type { RegistryEvent, ServiceRecord } from "../../registry.ts";
import { Link } from "./beacon.ts";
import type { Directory } from "./directory.ts";
import { keyOf, reachable, readRecord, thisHost, type Host, type LocalRecord } from "./record.ts";

/** Most record files looked at. */
const maxRecords = 10_000;
/** A directory that changed less than this (ms) before it was read may have changed again within the same tick of the file system's clock. */
const settled = 50;

interface Peer {
  readonly link: Link;
  key: string;
  record: LocalRecord;
}

/** What all registries of the directory say, this one included. */
export class View {
  readonly table: RecordTable;
  readonly #directory: Directory;
  readonly #own: string;
  readonly #clock: Clock;
  readonly #peers = new Map<string, Peer>();
  /** Files that are no records, by the key they had. */
  readonly #junk = new Map<string, string>();
  #scanning: Promise<void> | undefined;
  #again = false;
  #seen = "";
  #closed = false;

  constructor(directory: Directory, own: string, clock: Clock, emit: (event: RegistryEvent) => void) {
    this.table = new RecordTable(emit);
    this.#directory = directory;
    this.#own = own;
    this.#clock = clock;
  }

  /** What this registry says itself. */
  setOwn(services: readonly ServiceRecord[]): void {
    this.table.set(this.#own, -Infinity, services);
  }

  /** Brings it up to date; one look at the directory when nothing changed. What could not be read stays as it was known, and is read next time. */
  async refresh(): Promise<void> {
    const stats = await this.#directory.stat();
    const now = stats === undefined ? "" : `${stats.ino}:${stats.mtimeNs}`;
    if (now === "" || now !== this.#seen || process.platform === "win32") await this.scan();
  }

  /** A whole scan that begins after this call. */
  scan(): Promise<void> {
    this.#again = true;
    this.#scanning ??= (async () => {
      try {
        while (this.#again && !this.#closed) {
          this.#again = false;
          await this.#scan();
        }
      } finally {
        this.#scanning = undefined;
      }
    })();
    return this.#scanning;
  }

  close(): void {
    this.#closed = true;
    for (const { link } of this.#peers.values()) link.close();
    this.#peers.clear();
  }

  async #scan(): Promise<void> {
    const host = thisHost();
    const stats = await this.#directory.stat();
    const names = stats === undefined ? [] : await this.#directory.names();
    const ids = names.flatMap((name) => /^([a-z0-9-]{1,40})\.json$/.exec(name)?.[1] ?? []).slice(0, maxRecords);
    const present = new Set(ids);
    for (const [id, { link }] of this.#peers) {
      // Its beacon is still there: a cleaner took the record, the owner puts it back.
      if (!present.has(id) && !link.alive) this.#drop(id);
    }
    for (const id of this.#junk.keys()) if (!present.has(id)) this.#junk.delete(id);
    let whole = true;
    const unread = (): undefined => {
      whole = false;
    };
    const others = ids.filter((id) => id !== this.#own);
    const changed = await Promise.all(others.map((id) => this.#read(id, host).catch(unread)));
    if (this.#closed) return;
    this.table.batch(() => {
      for (const peer of changed) {
        if (peer !== undefined && peer.link.alive && this.#peers.get(peer.record.id) === peer)
          this.table.set(peer.record.id, -peer.record.at, reachable(peer.record, host));
      }
    });
    const quiet = stats !== undefined && Date.now() - Number(stats.mtimeMs) > settled;
    this.#seen = quiet && whole ? `${stats.ino}:${stats.mtimeNs}` : "";
  }

  /** The peer, when it is new or says something new. Rejects when its file could not be read this time. */
  async #read(id: string, host: Host): Promise<Peer | undefined> {
    const path = this.#directory.record(id);
    const known = this.#peers.get(id);
    const file = await keyOf(path);
    if (file === undefined || file.key === known?.key || file.key === this.#junk.get(id)) return undefined;
    const record = await readRecord(path, id);
    if (record === undefined || record.host.boot !== host.boot) {
      this.#junk.set(id, file.key);
      // Of another kernel, whose beacons cannot be judged from here; or from before the last start of this one.
      if (record !== undefined && file.mtimeMs < Date.now() - uptime() * 1000 - 60_000) await this.#remove(id);
      return undefined;
    }
    if (this.#closed) return undefined;
    if (known !== undefined) {
      known.key = file.key;
      known.record = record;
      return known;
    }
    const link = new Link(this.#directory.beacon(id), this.#clock, () => this.#died(id, link));
    const peer: Peer = { link, key: file.key, record };
    this.#peers.set(id, peer);
    if (await link.known) return peer;
    if (this.#peers.get(id) === peer && !this.#closed) this.#died(id, link);
    return undefined;
  }

  #died(id: string, link: Link): void {
    if (this.#peers.get(id)?.link !== link || this.#closed) return;
    this.#drop(id);
    // Ids are random: the files are never somebody else's.
    void this.#remove(id);
  }

  #drop(id: string): void {
    const peer = this.#peers.get(id);
    this.#peers.delete(id);
    peer?.link.close();
    this.table.delete(id);
  }

  async #remove(id: string): Promise<void> {
    const files = [this.#directory.record(id)];
    if (process.platform !== "win32") files.push(this.#directory.beacon(id), this.#directory.draft(id));
    await Promise.all(files.map((file) => rm(file, { force: true }).catch(() => {})));
  }
}
