import { Agent, request } from "node:http";
import { readFileSync } from "node:fs";
import { connect as connectTls } from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Service } from "../../../src/index.ts";
import { eventually } from "../../../src/testing/suite.ts";
import { Raw, raw } from "../../transport/raw.ts";
import { answers, greeter, mucpHello, post, Seen } from "./world.ts";

let service: Service;
const seen = new Seen();
const open: Raw[] = [];

async function client(): Promise<Raw> {
  const made = await raw(service.server.address);
  open.push(made);
  return made;
}

/** Sends, and waits for so many answers. */
async function talk(parts: readonly (string | Buffer)[], count: number): Promise<ReturnType<typeof answers>> {
  const socket = await client();
  for (const part of parts) await socket.write(part);
  await socket.until((text) => answers(text).length >= count && done(text, count), `${count} answers`);
  return answers(socket.text);
}

function done(text: string, count: number): boolean {
  const last = answers(text)[count - 1];
  return last !== undefined && last.body.endsWith(last.status === 200 ? "\n" : "}");
}

const isMucp = (headers: string): boolean => /^Micro-Id: /m.test(headers);
const hello = (name: string): string => post("/greeter/Greeter.Hello", JSON.stringify({ name }));

beforeAll(async () => {
  service = greeter({}, seen);
  await service.start();
});
afterEach(() => {
  for (const { socket } of open.splice(0)) socket.destroy();
});
afterAll(() => service.stop());

describe("one port", () => {
  it("gives a Micro-* request to mucp, and any other to node:http", async () => {
    const [mucp] = await talk([mucpHello("Ada")], 1);
    expect(mucp?.body).toBe('{"msg":"Hello Ada"}\n');
    expect(isMucp(mucp?.headers ?? "")).toBe(true);
    const [plain] = await talk([hello("Ada")], 1);
    expect(plain?.body).toBe('{"msg":"Hello Ada"}\n');
    expect(plain?.headers).toMatch(/^Date: /m);
  });

  it.each([
    ["mucp", mucpHello("byte")],
    ["plain HTTP", hello("byte")],
  ])("does so when the bytes of %s come one at a time", async (_, bytes) => {
    const [answer] = await talk([...bytes], 1);
    expect(answer?.body).toBe('{"msg":"Hello byte"}\n');
  });

  it.each([
    "Micro-Endpoint: Greeter.Hello",
    "micro-method: Greeter.Hello",
    "X-Micro-Endpoint: Greeter.Hello",
    "X-Micro-Method: Greeter.Hello",
    "Micro-Stream: 1\r\nMicro-Endpoint: Greeter.Hello",
  ])("knows mucp by %s on any path", async (header) => {
    const [answer] = await talk([post("/any", '{"name":"x"}', `${header}\r\n`)], 1);
    expect(answer).toMatchObject({ status: 200, body: '{"msg":"Hello x"}\n' });
    expect(answer?.headers).not.toMatch(/^Date: /m);
  });

  it("leaves HEAD and CONNECT to node:http, whose answers to them have no body", async () => {
    const socket = await client();
    await socket.write(mucpHello("x").replace("POST", "HEAD") + hello("after"));
    await socket.until((text) => text.includes("Hello after"));
    expect(socket.text.slice(socket.text.indexOf("\r\n\r\n") + 4)).toMatch(/^HTTP\/1\.1 200/);
    const tunnel = await client();
    await tunnel.write(mucpHello("x").replace("POST /", "CONNECT a:1"));
    await tunnel.end();
    expect(tunnel.text).toBe("");
  });

  it("knows the envelopes of Go clients before the headers, on the path that they used", async () => {
    const body = '{"params":[{"name":"old"}],"id":"3","method":"Greeter.Hello"}';
    const envelope = (path: string): string => post(path, body).replace("application/json", "application/json-rpc");
    const [answer] = await talk([envelope("/")], 1);
    expect(JSON.parse(answer?.body ?? "")).toEqual({ id: "3", result: { msg: "Hello old" }, error: null });
    expect((await talk([envelope("/app")], 1))[0]?.status).toBe(404);
  });

  it("leaves JSON on / without a header to plain HTTP, and what is only metadata", async () => {
    expect((await talk([post("/", '{"name":"x"}')], 1))[0]?.status).toBe(404);
    const [traced] = await talk([post("/Greeter.Hello", "{}", "Micro-Trace-Id: 1\r\nMicro-From-Service: web\r\n")], 1);
    expect(traced?.status).toBe(200);
    expect(seen.metadata.at(-1)).toMatchObject({ "Micro-Trace-Id": "1", "Micro-From-Service": "web" });
  });

  it("takes 300 kB of body straight after the head", async () => {
    const name = "z".repeat(300_000);
    const [plain] = await talk([hello(name)], 1);
    expect(plain?.body).toBe(`{"msg":"Hello ${name}"}\n`);
    const [mucp] = await talk([mucpHello(name)], 1);
    expect(mucp?.body).toBe(`{"msg":"Hello ${name}"}\n`);
  });

  it("gives the connection of mucp back when a plain request follows, also in the same chunk", async () => {
    const got = await talk([mucpHello("1") + mucpHello("2", "8") + hello("3") + hello("4")], 4);
    expect(got.map(({ body }) => body)).toEqual([1, 2, 3, 4].map((n) => `{"msg":"Hello ${n}"}\n`));
    expect(got.map(({ headers }) => isMucp(headers))).toEqual([true, true, false, false]);
  });

  it("gives it back only when the call before it was answered", async () => {
    const socket = await client();
    const wait = mucpHello("x").replace("Greeter.Hello", "Greeter.Wait");
    await socket.write(wait + hello("after"));
    await eventually(() => seen.running === 1, "the call runs");
    expect(socket.text).toBe("");
    seen.open();
    await socket.until((text) => answers(text).length === 2);
    expect(answers(socket.text).map(({ body }) => body)).toEqual(['{"msg":"waited"}\n', '{"msg":"Hello after"}\n']);
  });

  it("serves mucp on a connection that began as plain HTTP", async () => {
    const got = await talk([hello("1") + mucpHello("2") + hello("3") + mucpHello("4", "9")], 4);
    expect(got.map(({ body }) => body)).toEqual([1, 2, 3, 4].map((n) => `{"msg":"Hello ${n}"}\n`));
    expect(got.map(({ headers }) => /^Micro-Id: (\w+)/m.exec(headers)?.[1])).toEqual([undefined, "7", undefined, "9"]);
  });

  it("answers a call of mucp there that is too large with its error, which Go clients do not see in another status", async () => {
    const socket = await client();
    await socket.write(hello("1") + mucpHello("x".repeat(5 << 20)));
    await socket.until((text) => answers(text).length === 2);
    const [, refused] = answers(socket.text);
    expect(refused?.status).toBe(200);
    expect(refused?.headers).toMatch(/^Micro-Error: .*413/m);
    expect(refused?.headers).toMatch(/^Micro-Id: 7/m);
  });

  it("answers the errors of mucp there with 200, and refuses its streams", async () => {
    const unknown = mucpHello("x").replace("Greeter.Hello", "Greeter.Nope");
    const stream = mucpHello("x", "5", "Micro-Stream: 5\r\n").replace("Greeter.Hello", "Greeter.Count");
    const socket = await client();
    await socket.write(hello("1") + unknown + stream);
    await socket.until((text) => answers(text).length === 3);
    const [, second, third] = answers(socket.text);
    expect(second).toMatchObject({ status: 200, body: "" });
    expect(second?.headers).toMatch(/^Micro-Error: rpc: can't find method Nope/m);
    expect(third?.headers).toMatch(/^Micro-Error: .*405.*Greeter\.Count is a server stream/m);
  });

  it.each([
    ["a unary endpoint", "Greeter.Hello"],
    ["a stream", "Greeter.Count"],
    ["no endpoint", "Greeter.Nope"],
  ])("answers the end of a stream of %s there, which is no request", async (_, endpoint) => {
    const end = mucpHello("x", "5", "Micro-Stream: 5\r\nMicro-Error: EOS\r\n").replace("Greeter.Hello", endpoint);
    const socket = await client();
    await socket.write(hello("1") + end + hello("2"));
    await socket.until((text) => answers(text).length === 3);
    expect(answers(socket.text)[1]?.headers).toMatch(/^Micro-Error: .*405.*no proxy can carry/m);
  });

  it("serves keep-alive agents that mix both on one connection", async () => {
    for (const first of ["plain", "mucp"]) {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      const [host, port] = service.server.address.split(":");
      const call = (path: string, headers: Record<string, string>): Promise<string> =>
        new Promise((resolve, reject) => {
          const body = '{"name":"mix"}';
          const options = { host, port, agent, method: "POST", path };
          const json = { "content-type": "application/json", "content-length": body.length, ...headers };
          request({ ...options, headers: json }, (response) => {
            let text = "";
            response.on("data", (chunk: Buffer) => (text += chunk.toString()));
            response.on("end", () => resolve(text));
          })
            .on("error", reject)
            .end(body);
        });
      const plain = (): Promise<string> => call("/greeter/Greeter.Hello", {});
      const mucp = (): Promise<string> => call("/", { "micro-endpoint": "Greeter.Hello" });
      for (const make of first === "plain" ? [plain, mucp, plain, mucp] : [mucp, plain, mucp, plain])
        expect(await make()).toBe('{"msg":"Hello mix"}\n');
      expect(Object.values(agent.freeSockets).flat()).toHaveLength(1);
      agent.destroy();
    }
  });

  it("answers a client that half-closes behind its request", async () => {
    const socket = await client();
    socket.socket.end(hello("half"));
    await socket.until((text) => answers(text).length === 1);
    expect(answers(socket.text)[0]?.body).toBe('{"msg":"Hello half"}\n');
    expect(await socket.end()).toBe("fin");
  });
});

describe("a client that goes", () => {
  it("cancels what it has pipelined, also the requests whose turn had not come", async () => {
    const { cancelled } = seen;
    const running = seen.running + 2;
    const socket = await client();
    await socket.write(post("/greeter/Greeter.Ticks", "{}").repeat(2));
    await eventually(() => seen.running === running, "both streams run");
    socket.socket.destroy();
    await eventually(() => seen.cancelled === cancelled + 2, "both handlers hear of it");
    await eventually(() => service.server.stats.inFlight === 0, "both are over");
    expect(seen.cancelled).toBe(cancelled + 2);
  });
});

describe("one port with TLS", () => {
  const pem = (name: string): string => readFileSync(new URL(`../../fixtures/tls/${name}`, import.meta.url), "utf8");

  it("tells them apart with ALPN http/1.1 and without", async () => {
    const secure = greeter({ tls: { cert: pem("server.pem"), key: pem("server-key.pem") } });
    await secure.start();
    try {
      const [host, port] = secure.server.address.split(":");
      for (const ALPNProtocols of [["http/1.1"], undefined]) {
        for (const bytes of [hello("tls"), mucpHello("tls"), mucpHello("tls") + hello("tls")]) {
          const options = { host, port: Number(port), ca: pem("ca.pem"), servername: "localhost" };
          const socket = new Raw(connectTls({ ...options, ...(ALPNProtocols === undefined ? {} : { ALPNProtocols }) }));
          await socket.write(bytes);
          await socket.until((text) => text.endsWith('{"msg":"Hello tls"}\n') && answers(text).length >= 1);
          expect(answers(socket.text)[0]?.status).toBe(200);
          socket.socket.destroy();
        }
      }
    } finally {
      await secure.stop();
    }
  });
});
