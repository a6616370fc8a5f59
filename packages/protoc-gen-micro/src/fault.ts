import type { DescMethod } from "@bufbuild/protobuf";

/** A place in a `.proto`; lines and columns count from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** A fault of a `.proto`: `greeter.proto:3:7: …`. */
export class ProtoFault extends Error {
  readonly place: Place;
  /** Without the place. */
  readonly detail: string;

  constructor(place: Place, detail: string) {
    super(`${place.file}:${place.line}:${place.column}: ${detail}`);
    this.name = "ProtoFault";
    this.place = place;
    this.detail = detail;
  }
}

export function fault(place: Place, detail: string): ProtoFault {
  return new ProtoFault(place, detail);
}

/** Where a method stands; the begin of its file when the compiler did not say. */
export function at(method: DescMethod): Place {
  const { parent } = method;
  const { file } = parent;
  const path = [6, file.services.indexOf(parent), 2, parent.methods.indexOf(method)];
  const found = file.proto.sourceCodeInfo?.location.find(
    (location) => location.path.length === 4 && location.path.every((step, depth) => step === path[depth]),
  );
  return { file: file.proto.name, line: (found?.span[0] ?? 0) + 1, column: (found?.span[1] ?? 0) + 1 };
}
