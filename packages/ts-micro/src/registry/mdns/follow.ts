import type { Clock, Timer } from "../../clock.ts";
import type { RecordTable } from "../common/record-table.ts";
import { sameRecord } from "../common/records.ts";
import type { Instance } from "./reader.ts";

/** Pauses between the questions whether the nodes of a followed service are still there, ms. */
const firstPause = 1000;
const longestPause = 30_000;
/** So many questions without an answer, and a node is gone: 7 s after the first of them. */
const patience = 3;
/** What others can make us remember. */
const maxInstances = 8192;
/** A change costs as much time as a service has nodes. */
const maxInstancesOfService = 1024;
const maxBytes = 64 << 20;
const maxFollows = 4096;

interface Known {
  readonly instance: Instance;
  /** When its record is over. */
  readonly until: number;
  /** Questions since it was seen. */
  readonly unanswered: number;
}

interface Follow {
  readonly parent: string;
  readonly known: Map<string, Known>;
  users: number;
  /** The next one between questions while all is well, ms. */
  pause: number;
  /** Whether answers are waited for. */
  asked: boolean;
  timer: Timer | undefined;
}

export interface FollowerOptions {
  readonly clock: Clock;
  /** Multicasts the question for a service's nodes; rejects when it went nowhere. */
  readonly ask: (parent: string) => Promise<void>;
  readonly table: RecordTable;
}

/**
 * The nodes of followed services, from announcements, goodbyes and answers. As nobody announces again what has not changed, and a killed
 * process says no goodbye, it asks: soon after a change or a silence, ever more seldom while nothing happens.
 */
export class Follower {
  readonly #clock: Clock;
  readonly #ask: (parent: string) => Promise<void>;
  readonly #table: RecordTable;
  readonly #follows = new Map<string, Follow>();
  /** Whether services that nobody asked for are followed too, while they have nodes. */
  everything = false;
  #instances = 0;
  #bytes = 0;

  constructor({ clock, ask, table }: FollowerOptions) {
    this.#clock = clock;
    this.#ask = ask;
    this.#table = table;
  }

  follows(parent: string): boolean {
    return this.#follows.has(parent);
  }

  /** Whether instances of it are worth reading. */
  wants(parent: string): boolean {
    return this.everything || this.#follows.has(parent);
  }

  /** Counted: follow twice, leave twice. */
  follow(parent: string): void {
    (this.#follows.get(parent) ?? this.#begin(parent)).users++;
  }

  leave(parent: string): void {
    const follow = this.#follows.get(parent);
    if (follow !== undefined && --follow.users === 0 && !this.everything) this.#end(follow);
  }

  /** `everything` is over. */
  leaveAll(): void {
    this.everything = false;
    for (const follow of this.#follows.values()) if (follow.users === 0) this.#end(follow);
  }

  /** Somebody spoke of an instance. */
  seen(instance: Instance): void {
    const { name, parent, ttl } = instance;
    let follow = this.#follows.get(parent);
    if (follow === undefined && this.everything && ttl > 0 && this.#follows.size < maxFollows)
      follow = this.#begin(parent);
    if (follow === undefined) return;
    const known = follow.known.get(name);
    if (ttl === 0) {
      if (known !== undefined) this.#gone(follow, name);
      return;
    }
    const size = instance.size - (known?.instance.size ?? 0);
    const full = this.#instances >= maxInstances || follow.known.size >= maxInstancesOfService;
    if (this.#bytes + size > maxBytes || (known === undefined && full)) return;
    follow.known.set(name, { instance, until: this.#clock.now() + ttl * 1000, unanswered: 0 });
    this.#bytes += size;
    if (known === undefined) this.#instances++;
    if (known !== undefined && sameRecord(known.instance.record, instance.record)) return;
    this.#table.set(name, 1, [instance.record]);
    this.#soon(follow);
  }

  /** An instance that is ours now. */
  own(parent: string, name: string): void {
    const follow = this.#follows.get(parent);
    const known = follow?.known.get(name);
    if (follow === undefined || known === undefined) return;
    follow.known.delete(name);
    this.#uncount(known);
  }

  /** Asks for everything again, as after a change of the network. */
  refresh(): void {
    for (const follow of this.#follows.values()) {
      follow.pause = firstPause;
      follow.asked = false;
      this.#arm(follow, 0);
    }
  }

  close(): void {
    for (const follow of this.#follows.values()) this.#clock.cancel(follow.timer);
    this.#follows.clear();
  }

  #begin(parent: string): Follow {
    const follow = { parent, known: new Map(), users: 0, pause: firstPause, asked: false, timer: undefined };
    this.#follows.set(parent, follow);
    this.#arm(follow, firstPause);
    return follow;
  }

  #end(follow: Follow): void {
    this.#follows.delete(follow.parent);
    this.#clock.cancel(follow.timer);
    for (const name of follow.known.keys()) this.#forget(follow, name);
  }

  #arm(follow: Follow, ms: number): void {
    this.#clock.cancel(follow.timer);
    // Not all at once, and not in step with others.
    follow.timer = this.#clock.after(ms * (0.8 + Math.random() * 0.2), () => void this.#check(follow));
  }

  /** Something changed: more may follow. */
  #soon(follow: Follow): void {
    follow.pause = firstPause;
    if (!follow.asked) this.#arm(follow, firstPause);
  }

  async #check(follow: Follow): Promise<void> {
    const now = this.#clock.now();
    let silence = 0;
    for (const [name, { until, unanswered }] of follow.known) {
      if (unanswered >= patience || (unanswered > 0 && now >= until)) this.#gone(follow, name);
      else silence = Math.max(silence, unanswered);
    }
    if (follow.users === 0 && follow.known.size === 0) {
      this.#end(follow);
      return;
    }
    if (silence === 0 && follow.asked) {
      follow.asked = false;
      this.#arm(follow, follow.pause);
      follow.pause = Math.min(follow.pause * 2, longestPause);
      return;
    }
    follow.asked = true;
    this.#arm(follow, firstPause * 2 ** silence);
    this.#count(follow, 1);
    // What was not asked cannot be held against anybody.
    await this.#ask(follow.parent).catch(() => this.#count(follow, -1));
  }

  #count(follow: Follow, change: number): void {
    for (const [name, known] of follow.known)
      follow.known.set(name, { ...known, unanswered: Math.max(0, known.unanswered + change) });
  }

  #gone(follow: Follow, name: string): void {
    this.#forget(follow, name);
    this.#soon(follow);
  }

  #forget(follow: Follow, name: string): void {
    const known = follow.known.get(name);
    if (known === undefined) return;
    follow.known.delete(name);
    this.#uncount(known);
    this.#table.delete(name);
  }

  #uncount(known: Known): void {
    this.#instances--;
    this.#bytes -= known.instance.size;
  }
}
