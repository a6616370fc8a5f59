import { describe, expect, it } from "vitest";
import { loadPeer } from "../../src/internal/peer.ts";

const missing = (name: string): Error =>
  Object.assign(new Error(`Cannot find package '${name}' imported from /app/x.js`), { code: "ERR_MODULE_NOT_FOUND" });

describe("loading an optional package", () => {
  it("gives what the package exports", async () => {
    const { create } = await loadPeer("@bufbuild/protobuf", () => import("@bufbuild/protobuf"));
    expect(create).toBeTypeOf("function");
  });

  it("says what to install when it is not there", async () => {
    const name = "ts-micro-no-such-package";
    const error = await loadPeer(name, () => import(name)).catch((error: unknown) => error);
    expect(error).toMatchObject({ code: "PACKAGE_MISSING" });
    expect((error as Error).message).toContain(`npm install ${name}`);
  });

  it("passes on what a package that is there throws, a missing package of its own included", async () => {
    for (const thrown of [missing("its-dependency"), new Error("boom")])
      await expect(loadPeer("its-own-name", () => Promise.reject(thrown))).rejects.toBe(thrown);
    await expect(loadPeer("x", () => Promise.reject(missing("x")))).rejects.toMatchObject({ code: "PACKAGE_MISSING" });
  });
});
