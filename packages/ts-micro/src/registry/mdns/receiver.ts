import type { Clock } from "../../clock.ts";
import { decodePacket, encodePacket, type DnsPacket, type DnsQuestion } from "../../wire/dns.ts";
import { Limiter } from "./limiter.ts";
import type { Names } from "./names.ts";
import { Reader, type Instance } from "./reader.ts";
import type { Sender } from "./socket.ts";
import type { Zone } from "./zone.ts";

export interface ReceiverOptions {
  readonly names: Names;
  readonly zone: Zone;
  readonly clock: Clock;
  readonly answersPerSecond: number;
  readonly reply: (packet: Uint8Array, to: Sender) => void;
  /** Whether anybody here cares for the instances of this name. */
  wanted(parent: string): boolean;
  instance(instance: Instance): void;
  listed(service: string): void;
}

/** More questions than this in a packet are nobody's honest ones. */
const maxQuestions = 16;
/** Texts never seen before that are read for one host: in a burst, and in a second. */
const readBurst = 1000;
const readsPerSecond = 100;

/** Every packet that comes in: answers questions about the zone, hands on what responses say. Whatever is not understood is dropped. */
export class Receiver {
  readonly #options: ReceiverOptions;
  readonly #reader: Reader;
  readonly #answers: Limiter;
  readonly #reads: Limiter;

  constructor(options: ReceiverOptions) {
    this.#options = options;
    this.#reader = new Reader(options.names);
    this.#answers = new Limiter(options.clock, options.answersPerSecond, 2 * options.answersPerSecond);
    this.#reads = new Limiter(options.clock, readsPerSecond, readBurst);
  }

  /** `listening`: at the well-known port, the only one where questions are expected. */
  take(bytes: Uint8Array, from: Sender, listening: boolean): void {
    let packet: Required<DnsPacket>;
    try {
      packet = decodePacket(bytes);
    } catch {
      return;
    }
    if (packet.opcode !== 0 || packet.rcode !== 0) return;
    if (packet.response) this.#read(packet, from);
    else if (listening && !packet.truncated) this.#answer(packet, from);
  }

  #read(packet: Required<DnsPacket>, from: Sender): void {
    const wanted = (name: string): boolean => this.#wanted(name);
    const { instances, listed } = this.#reader.read(packet, wanted, () => this.#reads.allow(from.address));
    for (const instance of instances) this.#options.instance(instance);
    for (const service of listed) this.#options.listed(service);
  }

  /** `a.greeter.micro.` is wanted with `greeter.micro.`; ids may have dots. */
  #wanted(name: string): boolean {
    for (let dot = name.indexOf("."); dot >= 0; dot = name.indexOf(".", dot + 1))
      if (this.#options.wanted(name.slice(dot + 1))) return true;
    return false;
  }

  /**
   * By unicast to where the question came from, the question echoed: a Go client reads nothing else, and a Go server would answer a
   * multicast response that has a question. One packet per instance; ID 0, the query's when the question has the QU bit.
   */
  #answer(query: Required<DnsPacket>, from: Sender): void {
    const { id, questions } = query;
    if (questions.length > maxQuestions || from.port === 0) return;
    const { zone, reply } = this.#options;
    const [first] = questions;
    const ready = questions.length === 1 && first !== undefined && usual(first) ? [...zone.of(first.name)] : [];
    if (ready.length > 0) {
      if (this.#answers.allow(from.address)) for (const { answer } of ready) reply(answer, from);
      return;
    }
    const asked = new Set<string>();
    for (const question of questions) {
      const key = `${question.type} ${question.name}`;
      if (asked.has(key) || !ofInternet(question)) continue;
      asked.add(key);
      const packets = zone.answers(question);
      if (packets.length === 0 || !this.#answers.allow(from.address)) continue;
      const head = { id: question.unicast === true ? id : 0, response: true, authoritative: true, questions };
      for (const answers of packets) reply(encodePacket({ ...head, answers }), from);
    }
  }
}

/** Asked by Go and by us; its answers lie ready. */
function usual({ type, class: of, unicast }: DnsQuestion): boolean {
  return type === "PTR" && of === 1 && unicast !== true;
}

function ofInternet(question: DnsQuestion): boolean {
  return question.class === 1 || question.class === 255;
}
