import { errors, type MicroError } from "../errors.ts";

/** What has a body that comes in pieces. */
interface Source {
  readonly headers: Readonly<Record<string, string>>;
  read(): Promise<Uint8Array | undefined>;
}

/**
 * The whole body.
 * `hold` is told of each piece that is kept, and throws where there is no room.
 * @throws MicroError PAYLOAD_TOO_LARGE above `limit` bytes, at once where the length was told
 */
export async function readAll(
  source: Source,
  limit: number,
  id: string,
  hold?: (bytes: number) => void,
): Promise<Buffer> {
  const tooLarge = (): MicroError => errors.payloadTooLarge(id, `a body of more than ${limit} bytes`);
  if (Number(source.headers["content-length"] ?? 0) > limit) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (let chunk = await source.read(); chunk !== undefined; chunk = await source.read()) {
    length += chunk.length;
    if (length > limit) throw tooLarge();
    hold?.(chunk.length);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}
