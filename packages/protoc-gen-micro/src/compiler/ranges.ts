import { create, isMessage } from "@bufbuild/protobuf";
import {
  DescriptorProto_ReservedRangeSchema,
  DescriptorProtoSchema,
  EnumDescriptorProto_EnumReservedRangeSchema,
  type DescriptorProto,
  type EnumDescriptorProto,
} from "@bufbuild/protobuf/wkt";
import { fault } from "../fault.ts";
import type { Cursor } from "./cursor.ts";

export const maxNumber = 536_870_911;
export const maxEnum = 2_147_483_647;

/** `2, 5 to 9, 100 to max`; ends are exclusive, as in messages. */
export function readRanges(at: Cursor, min: number, max: number): { start: number; end: number }[] {
  const ranges: { start: number; end: number }[] = [];
  do {
    const { place } = at;
    const start = at.integer("a number", min, max);
    const end = !at.take("to") ? start : at.take("max") ? max : at.integer("a number", min, max);
    if (end < start) throw fault(place, `the range ${start} to ${end} ends before it begins`);
    ranges.push({ start, end: end + 1 });
  } while (at.take(","));
  return ranges;
}

/** `reserved` and what follows it: names, in quotes but for editions, or numbers. */
export function readReserved(at: Cursor, proto: DescriptorProto | EnumDescriptorProto, editions: boolean): void {
  at.next();
  if (at.token.kind === "string") {
    if (editions) throw fault(at.place, "in editions reserved names have no quotes");
    do proto.reservedName.push(at.string("a name in quotes").text);
    while (at.take(","));
  } else if (editions && at.token.kind === "word") {
    do proto.reservedName.push(at.word("a name").text);
    while (at.take(","));
  } else if (isMessage(proto, DescriptorProtoSchema)) {
    for (const range of readRanges(at, 1, maxNumber))
      proto.reservedRange.push(create(DescriptorProto_ReservedRangeSchema, range));
  } else {
    for (const { start, end } of readRanges(at, -maxEnum - 1, maxEnum))
      proto.reservedRange.push(create(EnumDescriptorProto_EnumReservedRangeSchema, { start, end: end - 1 }));
  }
  at.need(";");
}
