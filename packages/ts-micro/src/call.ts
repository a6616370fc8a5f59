/** What a first call needs beside core.ts, in one file. */
export { ClientEngine } from "./client/engine.ts";
export { preferSameHost } from "./selector/filters.ts";
export { carefulSelector } from "./client/careful.ts";
export { p2cSelector } from "./selector/p2c.ts";
