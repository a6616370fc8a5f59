import { connect } from "node:net";

export type Random = (below: number) => number;

/** xorshift: the same inputs in every run. */
export function generator(seed: number): Random {
  return (below) => {
    seed ^= seed << 13;
    seed ^= seed >>> 17;
    seed ^= seed << 5;
    return (seed >>> 0) % below;
  };
}

const lines = [
  "\r\n",
  "\n",
  "\0",
  "Content-Length: -1\r\n",
  "Content-Length: 99999999999\r\n",
  "Transfer-Encoding: chunked\r\n",
  " x: y\r\n",
  "ffffffffff\r\n",
  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
];

/** Makes damaged HTTP requests of whole ones: changed, cut, repeated and spliced bytes. */
export function damager(seeds: readonly Buffer[], random: Random): () => Buffer {
  return () => {
    const bytes = Buffer.from(seeds[random(seeds.length)] ?? "");
    for (let n = random(4); n >= 0; n--) {
      const at = random(bytes.length);
      const what = random(4);
      if (what === 0) bytes[at] = random(256);
      else if (what === 1) return bytes.subarray(0, at);
      else if (what === 2) bytes.copy(bytes, at, random(bytes.length));
      else
        return Buffer.concat([
          bytes.subarray(0, at),
          Buffer.from(lines[random(lines.length)] ?? ""),
          bytes.subarray(at),
        ]);
    }
    return bytes;
  };
}

/** Sends bytes, perhaps in two pieces, and goes: with FIN or RST, or when the server has gone. */
export function throwAt(address: string, bytes: Buffer, random: Random): Promise<void> {
  return new Promise((resolve) => {
    const [host = "", port = ""] = address.split(":");
    const socket = connect({ host, port: Number(port) });
    socket.on("error", () => {}).on("close", () => resolve());
    socket.resume();
    const cut = random(bytes.length + 1);
    socket.write(bytes.subarray(0, cut));
    socket.write(bytes.subarray(cut), () => {
      if (random(4) === 0) socket.resetAndDestroy();
      else socket.end();
    });
  });
}
