import { describe, expect, it } from "vitest";
import { settingsFromEnv } from "../src/settings.ts";

describe("settings", () => {
  it("read durations as they are, and bare numbers as seconds where Go's are", () => {
    const settings = settingsFromEnv({
      MICRO_CLIENT_REQUEST_TIMEOUT: "1m30s",
      MICRO_REGISTER_TTL: "60",
      MICRO_REGISTER_INTERVAL: "500ms",
    });
    expect(settings).toEqual({ clientRequestTimeout: "1m30s", registerTtl: 60_000, registerInterval: "500ms" });
  });

  it.each(["MICRO_CLIENT_REQUEST_TIMEOUT", "MICRO_CLIENT_POOL_TTL", "MICRO_REGISTER_TTL"])(
    "name the variable %s when its text is no duration",
    (name) => {
      expect(() => settingsFromEnv({ [name]: "soon" })).toThrow(`${name}=soon: a duration is needed`);
    },
  );

  it("hold only what was set, and take an empty variable for none", () => {
    expect(settingsFromEnv({ MICRO_REGISTRY: "", MICRO_BROKER: "nats" })).toEqual({ broker: "nats" });
  });
});
