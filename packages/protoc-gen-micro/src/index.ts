export { micro } from "./plugin.ts";
