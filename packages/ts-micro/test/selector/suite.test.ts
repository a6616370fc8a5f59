import { describe, it } from "vitest";
import { p2cSelector } from "../../src/selector/p2c.ts";
import { randomSelector } from "../../src/selector/random.ts";
import { roundRobinSelector } from "../../src/selector/round-robin.ts";
import { selectorSuite } from "../../src/testing/selector.ts";
import { seeded } from "./seeded.ts";

selectorSuite({ describe, it }, { name: "p2c", create: () => p2cSelector({ random: seeded(1) }) });
selectorSuite({ describe, it }, { name: "p2c with its own random numbers", create: () => p2cSelector() });
selectorSuite({ describe, it }, { name: "random", create: () => randomSelector({ random: seeded(2) }) });
selectorSuite({ describe, it }, { name: "round-robin", create: () => roundRobinSelector() });
