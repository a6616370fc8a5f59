export const sizeNames = ["tiny", "1k", "64k"];
const flights = [1, 16, 128];

/** Messages a second on one server stream (callback, `for await`), on a bidi ping-pong, and deliveries to four (streams, pub/sub). */
export const flows = ["streamCallback", "stream", "chat", "fanoutStreams", "fanout"];

/** `tiny:16` … and the flows: what is measured of each peer. */
export const allCells = [...sizeNames.flatMap((size) => flights.map((inFlight) => `${size}:${inFlight}`)), ...flows];

export function parseCell(cell) {
  if (flows.includes(cell)) return { cell, kind: cell };
  const [size, inFlight] = cell.split(":");
  if (!sizeNames.includes(size) || !/^[1-9]\d{0,2}$/.test(inFlight ?? ""))
    throw new Error(`no cell ${cell}: ${allCells.join(", ")}`);
  return { cell, size, inFlight: Number(inFlight) };
}
