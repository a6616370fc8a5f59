import { inspect as nodeInspect, isDeepStrictEqual } from "node:util";
import type { Codec, Envelope, MessageDescriptor } from "../codec.ts";
import { isMicroError } from "../errors.ts";
import { defineSuite, type Runner, type Skips } from "./suite.ts";

/** A value and what must become of it. */
export interface CodecSample {
  value: unknown;
  descriptor?: MessageDescriptor;
  /** What `decode` gives for its body, when that is not an equal value: an init becomes a message, say. */
  decoded?: unknown;
}

export interface CodecSuiteOptions {
  name: string;
  create(): Codec;
  /** At least one. */
  samples: readonly CodecSample[];
  /** Values that have no such form. */
  unencodable?: readonly CodecSample[];
  /** Bodies that are no value, decoded with this descriptor. */
  undecodable?: readonly Uint8Array[];
  descriptor?: MessageDescriptor;
  skip?: Skips<string>;
}

/** The promises of a {@link Codec}. */
export function codecSuite(t: Runner, options: CodecSuiteOptions): void {
  defineSuite(t, {
    name: options.name,
    skip: options.skip,
    setup: async () => {
      const codec = options.create();
      await codec.load?.();
      return { codec, options };
    },
    promises,
  });
}

interface Bench {
  codec: Codec;
  options: CodecSuiteOptions;
}

/** How often hostile bytes are made of each sample. */
const rounds = 300;

const promises = {
  "it has a name and exact content types": ({ codec }: Bench) => {
    check(codec.name !== "", "the name is empty");
    for (const type of codec.contentTypes)
      check(/^[a-z]+\/[a-z0-9.+-]+$/.test(type), `${type} is no bare content type`);
  },
  "every value comes back as it was": ({ codec, options }: Bench) => {
    check(options.samples.length > 0, "the suite needs samples");
    for (const sample of options.samples) {
      for (const envelope of envelopes(codec)) {
        const body = codec.encode(sample.value, sample.descriptor, envelope);
        check(body instanceof Uint8Array, "the body is no Uint8Array");
        const back = codec.decode(body, sample.descriptor, envelope && { ...envelope, id: "", endpoint: "" });
        const expected = "decoded" in sample ? sample.decoded : sample.value;
        check(isDeepStrictEqual(back, expected), `${inspect(expected)} came back as ${inspect(back)}`);
      }
    }
  },
  "a body stays as it is when others are made after it": ({ codec, options }: Bench) => {
    const bodies = options.samples.map(({ value, descriptor }) => codec.encode(value, descriptor));
    const copies = bodies.map((body) => Buffer.from(body));
    for (const { value, descriptor } of options.samples) codec.encode(value, descriptor);
    check(
      bodies.every((body, i) => copies[i]?.equals(body)),
      "a body changed",
    );
  },
  "values without such a form throw BAD_REQUEST": ({ codec, options }: Bench) => {
    for (const { value, descriptor } of options.unencodable ?? [])
      throws(() => codec.encode(value, descriptor), `encoding ${inspect(value)}`, "BAD_REQUEST");
  },
  "bodies that are no value throw BAD_REQUEST": ({ codec, options }: Bench) => {
    for (const body of options.undecodable ?? [])
      throws(() => codec.decode(body, options.descriptor), `decoding ${inspect(body)}`, "BAD_REQUEST");
  },
  "cut, changed and random bodies give a value or BAD_REQUEST": ({ codec, options }: Bench) => {
    const random = generator(20_261_121);
    for (const { value, descriptor } of options.samples) {
      for (const envelope of envelopes(codec)) {
        const whole = Buffer.from(codec.encode(value, descriptor, envelope));
        const hostile: Uint8Array[] = [...Array(Math.min(whole.length, rounds)).keys()].map((length) =>
          whole.subarray(0, length),
        );
        for (let i = 0; i < rounds; i++) hostile.push(changed(whole, random), noise(random(64), random));
        for (const body of hostile) tries(() => codec.decode(body, descriptor, envelope && { ...envelope }), body);
      }
    }
  },
  "an enveloped codec carries id, endpoint and error": ({ codec, options }: Bench) => {
    const [sample] = options.samples;
    if (!codec.enveloped || sample === undefined) return;
    const { value, descriptor } = sample;
    const found: Envelope = { type: "request", id: "", endpoint: "" };
    codec.decode(codec.encode(value, descriptor, { type: "request", id: "7", endpoint: "A.B" }), descriptor, found);
    check(found.id === "7" && found.endpoint === "A.B", `a request came back as ${inspect(found)}`);
    const failed: Envelope = { type: "response", id: "", endpoint: "" };
    const error = codec.encode(undefined, undefined, { type: "error", id: "7", endpoint: "A.B", error: "boom" });
    check(codec.decode(error, descriptor, failed) === undefined, "an error came back as a value");
    check(failed.type === "error" && failed.error === "boom", `an error came back as ${inspect(failed)}`);
  },
};

function envelopes(codec: Codec): (Envelope | undefined)[] {
  if (!codec.enveloped) return [undefined];
  return [
    { type: "request", id: "1", endpoint: "Test.Echo" },
    { type: "response", id: "1", endpoint: "Test.Echo" },
    { type: "event", id: "", endpoint: "news" },
    undefined,
  ];
}

function check(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}

function throws(work: () => unknown, what: string, code: string): void {
  try {
    work();
  } catch (error) {
    if (isMicroError(error) && error.code === code) return;
    throw new Error(`${what} threw ${inspect(error)}, not ${code}`, { cause: error });
  }
  throw new Error(`${what} did not throw`);
}

function tries(work: () => unknown, body: Uint8Array): void {
  try {
    work();
  } catch (error) {
    if (!isMicroError(error) || error.code !== "BAD_REQUEST")
      throw new Error(`decoding ${inspect(body)} threw ${inspect(error)}, not BAD_REQUEST`, { cause: error });
  }
}

/** Numbers below `n`, the same ones in every run (mulberry32). */
function generator(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * n;
  };
}

function changed(whole: Buffer, random: (n: number) => number): Buffer {
  const out = Buffer.from(whole);
  for (let i = 0; i < 3 && out.length > 0; i++) out[Math.floor(random(out.length))] = random(256);
  return out;
}

function noise(length: number, random: (n: number) => number): Buffer {
  return Buffer.from(Array.from({ length }, () => random(256)));
}

function inspect(value: unknown): string {
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value.subarray(0, 64)).toString("hex")}`;
  if (value instanceof Error) return String(value);
  return nodeInspect(value, { breakLength: Infinity, maxStringLength: 64 }).slice(0, 500);
}
