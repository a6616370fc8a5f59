import { describe, it } from "vitest";
import { textCodec } from "../../src/codec/text.ts";
import { codecSuite } from "../../src/testing/codec.ts";

codecSuite(
  { describe, it },
  {
    name: "text",
    create: textCodec,
    samples: [{ value: "" }, { value: "Zoë 🎉\n\u0000" }, { value: "\ufeffmark" }],
    unencodable: [{ value: 1 }, { value: null }, { value: undefined }, { value: {} }],
    undecodable: [Buffer.from([0xc3]), Buffer.from([0xff, 0xfe])],
  },
);
