import { execFileSync } from "node:child_process";
import { homedir } from "node:os";
import { fileURLToPath } from "node:url";

const script = fileURLToPath(new URL("../../scripts/servers/build.sh", import.meta.url));
const directory = `${process.env.XDG_CACHE_HOME || `${homedir()}/.cache`}/ts-micro-servers`;

/** The folder of a server of `scripts/servers/`, built when it is not there. */
export function builtServer(name) {
  const said = execFileSync("bash", [script, name, directory], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  return said.trim().split("\n").at(-1);
}
