import { describe, expect, it } from "vitest";
import { parseFlags } from "../src/flags.ts";

const own = {
  tenant: { env: "TENANT", default: "acme" },
  dry: { type: "boolean", env: "DRY" },
  most: { type: "number", env: "MOST", default: 5 },
} as const;

describe("flags", () => {
  it("with an empty value count as not given, like empty variables; the user's own text may be empty", () => {
    const argv = [
      "--server_address=",
      "--server-id",
      "",
      "--server_version=",
      "--register_ttl=",
      "--client_retries=",
      "--client_pool_size=",
      "--server_metadata=",
      "--registry=mdns",
      "--registry=",
    ];
    expect(parseFlags(argv, {}, {}).settings).toEqual({ registry: "mdns" });
    expect(parseFlags(["--tenant=", "--dry=", "--most="], own, { DRY: "true" }).values).toEqual({
      tenant: "",
      dry: true,
      most: 5,
    });
  });

  it.each(["--register_ttl", "--client_retries"])("%s does not take blanks for 0", (flag) => {
    expect(() => parseFlags([`${flag}= `], {}, {})).toThrow(`${flag}= : `);
  });

  it.each([
    ["True", true],
    ["t", true],
    ["1", true],
    ["False", false],
    ["F", false],
    ["0", false],
  ])("and variables that are boolean read %s as Go does", (text, dry) => {
    expect(parseFlags([], own, { DRY: text }).values).toMatchObject({ dry });
    expect(parseFlags([`--dry=${text}`], own, {}).values).toMatchObject({ dry });
  });

  it("say what they take: true or false, a number", () => {
    expect(() => parseFlags([], own, { DRY: "no" })).toThrow(/^DRY=no: true or false is needed$/);
    expect(() => parseFlags(["--dry=no"], own, {})).toThrow(/^--dry=no: true or false is needed$/);
    expect(() => parseFlags([], own, { MOST: "many" })).toThrow(/^MOST=many: a number is needed$/);
    expect(() => parseFlags(["--most=many"], own, {})).toThrow(/^--most=many: a number is needed$/);
    expect(parseFlags(["--dry", "no"], own, {})).toMatchObject({ values: { dry: true }, rest: ["no"] });
  });
});
