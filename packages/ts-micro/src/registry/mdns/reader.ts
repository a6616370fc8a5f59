import { hostPort } from "../../internal/net-address.ts";
import type { ServiceRecord } from "../../registry.ts";
import type { DnsPacket, TxtRecord } from "../../wire/dns.ts";
import { decodeTxt, type MdnsTxt } from "../../wire/mdns-txt.ts";
import { idKey, instanceId, listedService, serviceName, type Names } from "./names.ts";

/** What a packet says of one instance. */
export interface Instance {
  /** `greeter-1.greeter.micro.` */
  readonly name: string;
  /** `greeter.micro.` */
  readonly parent: string;
  /** Seconds; 0 is a goodbye. */
  readonly ttl: number;
  /** Of one node. Never changed, and the same object for the same words. */
  readonly record: ServiceRecord;
  /** About how many bytes it takes to remember. */
  readonly size: number;
}

export interface Found {
  readonly instances: readonly Instance[];
  /** Services named by the list of services. */
  readonly listed: readonly string[];
}

interface Text {
  readonly txt: MdnsTxt;
  readonly parent: string;
  readonly size: number;
}

/** Texts kept, and about how many bytes of them. */
const maxTexts = 512;
const maxTextBytes = 16 << 20;

/** Reads packets of Go's responders and ours: SRV, address and TXT of an instance in any section and order. */
export class Reader {
  readonly #names: Names;
  // Nodes of one service have the same text most of the time, and so do refreshed ones.
  readonly #texts = new Map<string, Text | undefined>();
  #bytes = 0;

  constructor(names: Names) {
    this.#names = names;
  }

  /** `wanted` is asked for each instance, `mayRead` before work is put into a text not seen before. */
  read(packet: Required<DnsPacket>, wanted: (instance: string) => boolean, mayRead: () => boolean): Found {
    const records = [...packet.answers, ...packet.additional].filter(({ class: of }) => of === undefined || of === 1);
    const texts = new Map<string, TxtRecord>();
    const addresses = new Map<string, { readonly type: string; readonly address: string; readonly ttl: number }>();
    for (const record of records) {
      if (record.type === "TXT") texts.set(record.name, record);
      // IPv4 first, as Go.
      else if (record.type === "A" || (record.type === "AAAA" && addresses.get(record.name)?.type !== "A"))
        addresses.set(record.name, record);
    }
    const instances: Instance[] = [];
    const listed = new Set<string>();
    for (const record of records) {
      if (record.type === "PTR" && record.name === this.#names.list && record.ttl > 0) {
        const service = listedService(this.#names, record.target);
        if (service !== undefined) listed.add(service);
      }
      if (record.type !== "SRV" || record.port === 0 || !wanted(record.name)) continue;
      const txt = texts.get(record.name);
      const address = addresses.get(record.target) ?? addresses.get(record.name);
      if (txt === undefined || address === undefined || txt.strings.length === 0) continue;
      const text = this.#text(txt.strings, mayRead);
      const id = text === undefined ? undefined : instanceId(record.name, text.parent);
      if (text === undefined || id === undefined) continue;
      const ttl = Math.min(record.ttl, txt.ttl, address.ttl);
      const { name, port } = record;
      const where = hostPort(address.address, port);
      instances.push({ name, parent: text.parent, ttl, size: text.size, record: recordOf(text.txt, id, where) });
    }
    return { instances, listed: [...listed] };
  }

  #text(strings: readonly string[], mayRead: () => boolean): Text | undefined {
    const key = strings.join("");
    const known = this.#texts.get(key);
    if (known !== undefined || this.#texts.has(key)) return known;
    if (!mayRead()) return undefined;
    const text = this.#decode(strings);
    this.#texts.set(key, text);
    this.#bytes += key.length + (text?.size ?? 0);
    for (const [oldest, { size } = { size: 0 }] of this.#texts) {
      if (this.#texts.size <= maxTexts && this.#bytes <= maxTextBytes) break;
      this.#texts.delete(oldest);
      this.#bytes -= oldest.length + size;
    }
    return text;
  }

  #decode(strings: readonly string[]): Text | undefined {
    try {
      const txt = decodeTxt(strings);
      return { txt, parent: serviceName(this.#names, txt.service), size: JSON.stringify(txt).length };
    } catch {
      return undefined; // somebody else's, or nonsense
    }
  }
}

function recordOf(txt: MdnsTxt, id: string, address: string): ServiceRecord {
  const { [idKey]: alias, ...metadata } = txt.metadata;
  const { service: name, version, endpoints } = txt;
  return { name, version, metadata: {}, endpoints, nodes: [{ id: alias ?? id, address, metadata }] };
}
