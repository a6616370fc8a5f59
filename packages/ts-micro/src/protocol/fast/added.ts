import { Metadata, type ResponseMetadata } from "../../metadata.ts";
import type { ReplyListener } from "../../protocol.ts";
import { added } from "../../wire/added.ts";
import { Flag, Frame } from "../../wire/fast/frame.ts";
import { checkMetadata, decodeMetadata, encodeMetadata } from "../../wire/fast/text.ts";
import { utf8Slice } from "../../wire/utf8.ts";
import type { Link } from "./link.ts";

/** Says what a handler added to its one reply, which follows. */
export function sayAdded(link: Link, id: number, { givenHeader, givenTrailer }: ResponseMetadata): void {
  sayBlock(link, id, 0, givenHeader);
  sayBlock(link, id, Flag.trailer, givenTrailer);
}

export function sayBlock(link: Link, id: number, flags: number, metadata: Metadata | undefined): void {
  if (metadata === undefined) return;
  const block = encodeMetadata(Object.entries(added(metadata)));
  if (block !== "") link.say(Frame.metadata, flags, id, block);
}

/** A METADATA frame, for who asked for it. Throws what breaks the connection. */
export function hear(
  listener: ReplyListener | undefined,
  flags: number,
  bytes: Buffer,
  from: number,
  to: number,
): void {
  checkMetadata(bytes, from, to);
  if (listener === undefined) return;
  const metadata = Metadata.received(decodeMetadata(utf8Slice(bytes, from, to)));
  if ((flags & Flag.trailer) === 0) listener.header(metadata);
  else listener.trailer(metadata);
}
