import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { testMesh, type Mesh } from "../../src/testing/mesh.ts";

let mesh: Mesh;
beforeEach(() => void (mesh = testMesh()));
afterEach(() => mesh.close());

async function* numbers(): AsyncGenerator<{ n: number }> {
  yield { n: 1 };
}

describe("a plain method that wants a stream of requests", () => {
  it("tells how it is declared, the first time and later", async () => {
    const service = mesh.service("math").handle("Math", {
      async sum(requests: AsyncIterable<{ n: number }>) {
        let total = 0;
        for await (const { n } of requests) total += n;
        return { total };
      },
      async *double(requests: AsyncIterable<{ n: number }>) {
        for await (const { n } of requests) yield { n: n * 2 };
      },
    });
    await service.start();
    const math = mesh.client().service<typeof service>("math").Math;
    const advice =
      'requests is not async iterable; a handler that receives a stream says so: endpoint({ stream: "client" }, …) or "bidi"';
    const failed = { code: "INTERNAL", id: "math", detail: advice };
    await expect(math.sum(numbers())).rejects.toMatchObject(failed);
    await expect(math.sum(numbers())).rejects.toMatchObject(failed);
    const read = async (): Promise<void> => {
      for await (const _ of math.double(numbers()));
    };
    await expect(read()).rejects.toMatchObject(failed);
  });

  it("keeps its other errors as they are", async () => {
    const service = mesh.service("math").handle("Math", {
      sum() {
        throw new TypeError("total is not a function");
      },
    });
    await service.start();
    const failed = mesh.client().call("math", "Math.Sum", {});
    await expect(failed).rejects.toMatchObject({ detail: "total is not a function" });
  });
});
