export { compile } from "./compile.ts";
export { ProtoFault, type Place } from "./fault.ts";
export { generate, type Generated, type GenerateOptions } from "./generate.ts";
export { micro } from "./plugin.ts";
