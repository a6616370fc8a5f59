import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { Page as BrowserPage } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeChromium, startChromium, type Chromium } from "../servers/chromium.ts";
import type { Page, Way } from "./browser/page.ts";
import { webWorld, type WebWorld } from "./web-world.ts";

declare const page: Page;

/** A web site of its own origin, whose one page has the script. */
async function site(script: string): Promise<{ origin: string; server: Server }> {
  const server = createServer((request, response) => {
    response.setHeader("content-type", request.url === "/page.js" ? "text/javascript" : "text/html");
    response.end(request.url === "/page.js" ? script : '<!doctype html><script src="/page.js"></script>');
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

describeChromium("a page in Chromium", () => {
  let browser: Chromium;
  let sites: { origin: string; server: Server }[] = [];
  let listed: BrowserPage;
  let stranger: BrowserPage;
  let open: WebWorld;
  let closed: WebWorld;

  beforeAll(async () => {
    const entryPoints = [fileURLToPath(new URL("./browser/page.ts", import.meta.url))];
    const { outputFiles } = await build({ entryPoints, bundle: true, write: false, platform: "browser" });
    const script = outputFiles[0]?.text ?? "";
    sites = [await site(script), await site(script)];
    const [home, other] = sites.map(({ origin }) => origin) as [string, string];
    open = await webWorld({ cors: { origins: [home] } });
    closed = await webWorld();
    browser = await startChromium();
    listed = await browser.context.newPage();
    await listed.goto(home);
    stranger = await browser.context.newPage();
    await stranger.goto(other);
  });

  afterAll(async () => {
    await browser?.[Symbol.asyncDispose]();
    await Promise.all([open?.[Symbol.asyncDispose](), closed?.[Symbol.asyncDispose]()]);
    for (const { server } of sites) {
      server.closeAllConnections();
      server.close();
    }
  });

  describe.each<Way>(["grpc-web", "connect", "connect-json"])("whose origin is listed, by %s", (way) => {
    it("calls", async () => {
      expect(await listed.evaluate(([way, url]) => page.hello(way, url, "Ada"), [way, open.url] as const)).toBe(
        "Hello Ada",
      );
    });

    it("sends metadata and reads that of the reply", async () => {
      expect(await listed.evaluate(([way, url]) => page.echo(way, url), [way, open.url] as const)).toEqual({
        sent: "acme",
        header: "yes",
        trailer: "3",
      });
    });

    it("reads a server stream", async () => {
      expect(await listed.evaluate(([way, url]) => page.stream(way, url, 3), [way, open.url] as const)).toEqual([
        "0",
        "1",
        "2",
      ]);
    });

    it("reads a server stream as it comes, and cancels it", async () => {
      open.cancelled.length = 0;
      expect(await listed.evaluate(([way, url]) => page.first(way, url), [way, open.url] as const)).toBe("0");
      await expect.poll(() => open.cancelled, { timeout: 10_000 }).toEqual(["Greeter.Stream CONNECTION_LOST"]);
    });

    it("gets an error with its code, text and details", async () => {
      expect(await listed.evaluate(([way, url]) => page.fail(way, url), [way, open.url] as const)).toEqual({
        code: 5,
        text: "no 100% user – ü",
        detail: "errors.Error",
        cost: "4",
      });
    });

    it("cancels the handler when it gives up", async () => {
      open.cancelled.length = 0;
      const running = open.running("Greeter.Slow");
      const call = listed.evaluate(([way, url]) => page.slow(way, url), [way, open.url] as const);
      await running;
      await listed.evaluate(() => page.giveUp());
      expect(await call).toContain("[canceled]");
      await expect.poll(() => open.cancelled, { timeout: 10_000 }).toEqual(["Greeter.Slow CONNECTION_LOST"]);
    });
  });

  const post = (
    from: BrowserPage,
    world: WebWorld,
    contentType: string,
    mode: "cors" | "no-cors" = "cors",
  ): Promise<string> =>
    from.evaluate(([url, type, mode]) => page.post(url, type, '{"name":"Ada"}', mode), [
      `${world.url}/Plain/Hello`,
      contentType,
      mode,
    ] as const);

  it("whose origin is listed calls with fetch and JSON alone", async () => {
    expect(await post(listed, open, "application/json")).toBe('cors 200 {"msg":"Hello Ada"}\n');
  });

  it("whose origin is listed cannot call with text/plain", async () => {
    const before = open.engine.stats.requests;
    expect(await post(listed, open, "text/plain")).toContain("415");
    expect(open.engine.stats.requests).toBe(before);
  });

  it.each<Way>(["grpc-web", "connect", "connect-json"])("of another origin is refused, by %s", async (way) => {
    for (const [from, world] of [
      [stranger, open],
      [listed, closed],
      [stranger, closed],
    ] as const) {
      const before = world.engine.stats.requests;
      const call = from.evaluate(([way, url]) => page.hello(way, url, "Ada"), [way, world.url] as const);
      await expect(call).rejects.toThrow(/Failed to fetch/);
      expect(world.engine.stats.requests).toBe(before);
    }
  });

  it("that sends what needs no preflight reaches the server, and no handler", async () => {
    for (const [from, world] of [
      [stranger, open],
      [listed, closed],
    ] as const) {
      const before = world.engine.stats.requests;
      world.requests.length = 0;
      expect(await post(from, world, "text/plain")).toContain("Failed to fetch");
      expect(await post(from, world, "text/plain", "no-cors")).toBe("opaque 0 ");
      const byGet = `${world.url}/greeter.Greeter/Echo?connect=v1&encoding=json&message=%7B%7D`;
      await from.evaluate((url) => page.image(url), byGet);
      expect(world.requests).toEqual(["POST /Plain/Hello", "POST /Plain/Hello", "GET /greeter.Greeter/Echo"]);
      expect(world.engine.stats.requests).toBe(before);
    }
  });
});
