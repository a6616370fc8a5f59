import { ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { Greeter } from "../../../../../interop/proto/gen/greeter_pb.ts";

declare class Image {
  src: string;
  addEventListener(name: "error", listener: () => void): void;
}

/** How a page may speak to a service. */
export type Way = "grpc-web" | "connect" | "connect-json";

/** What the page offers to the test. Everything it gives can be cloned. */
export interface Page {
  hello(way: Way, url: string, name: string): Promise<string>;
  echo(way: Way, url: string): Promise<{ sent: string | undefined; header: string | null; trailer: string | null }>;
  stream(way: Way, url: string, count: number): Promise<string[]>;
  /** The first message of a stream that never ends, which is then cancelled. */
  first(way: Way, url: string): Promise<string>;
  fail(way: Way, url: string): Promise<{ code: number; text: string; detail: string; cost: string | null }>;
  /** Starts a call that never ends; `giveUp` cancels it. */
  slow(way: Way, url: string): Promise<string>;
  giveUp(): void;
  /** Loads an image from there, in vain. */
  image(url: string): Promise<void>;
  post(url: string, contentType: string, body: string, mode?: "cors" | "no-cors"): Promise<string>;
}

function transport(way: Way, baseUrl: string): Transport {
  if (way === "grpc-web") return createGrpcWebTransport({ baseUrl });
  return createConnectTransport({ baseUrl, useBinaryFormat: way === "connect" });
}

const client = (way: Way, url: string): ReturnType<typeof createClient<typeof Greeter>> =>
  createClient(Greeter, transport(way, url));

let abort: AbortController | undefined;

const page: Page = {
  async hello(way, url, name) {
    return (await client(way, url).hello({ name })).msg;
  },
  async echo(way, url) {
    let header: string | null = null;
    let trailer: string | null = null;
    const { metadata } = await client(way, url).echo(
      { note: "n" },
      {
        headers: { "X-Tenant": "acme" },
        onHeader: (all) => (header = all.get("x-seen")),
        onTrailer: (all) => (trailer = all.get("x-cost")),
      },
    );
    return { sent: metadata["X-Tenant"], header, trailer };
  },
  async stream(way, url, count) {
    const out: string[] = [];
    for await (const { n } of client(way, url).stream({ count: BigInt(count) })) out.push(String(n));
    return out;
  },
  async first(way, url) {
    const leaving = new AbortController();
    const call = client(way, url).stream({ count: 1n, failWith: "forever" }, { signal: leaving.signal });
    const { value } = await call[Symbol.asyncIterator]().next();
    leaving.abort();
    return String(value?.n);
  },
  async fail(way, url) {
    try {
      await client(way, url).fail({ kind: "notfound", detail: "no 100% user – ü" });
    } catch (error) {
      const { code, rawMessage, details, metadata } = ConnectError.from(error);
      const detail = (details[0] as { type?: string } | undefined)?.type ?? "";
      return { code, text: rawMessage, detail, cost: metadata.get("x-cost") };
    }
    throw new Error("it did not fail");
  },
  async slow(way, url) {
    abort = new AbortController();
    try {
      await client(way, url).slow({}, { signal: abort.signal });
      return "answered";
    } catch (error) {
      return ConnectError.from(error).message;
    }
  },
  giveUp: () => abort?.abort(),
  image: (url) =>
    new Promise((resolve) => {
      const image = new Image();
      image.addEventListener("error", () => resolve());
      image.src = url;
    }),
  async post(url, contentType, body, mode = "cors") {
    try {
      const answer = await fetch(url, { method: "POST", mode, headers: { "content-type": contentType }, body });
      return `${answer.type} ${answer.status} ${await answer.text()}`;
    } catch (error) {
      return String(error);
    }
  },
};
Object.assign(globalThis, { page });
