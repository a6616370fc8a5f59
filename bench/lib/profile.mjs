// Where a process's time goes: V8's sampling profiler from inside, so that start and warm-up are not in it.
import { Session } from "node:inspector/promises";

const session = new Session();

export async function startProfile() {
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Profiler.setSamplingInterval", { interval: 200 });
  await session.post("Profiler.start");
}

/** Self time in microseconds: `[{ name, place, group, self }]`, the largest first, without idle time. */
export async function stopProfile() {
  const { profile } = await session.post("Profiler.stop");
  session.disconnect();
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]));
  const found = new Map();
  profile.samples.forEach((id, i) => {
    const { functionName, url, lineNumber } = frames.get(id);
    if (functionName === "(idle)") return;
    const place =
      url === "" ? "" : `${url.replace(/^.*\/(node_modules|packages\/ts-micro\/dist|bench)\//, "")}:${lineNumber + 1}`;
    const key = `${functionName} ${place}`;
    const entry = found.get(key) ?? {
      name: functionName || "(anonymous)",
      place,
      group: groupOf(functionName, url),
      self: 0,
    };
    entry.self += Math.max(0, profile.timeDeltas[i]);
    found.set(key, entry);
  });
  return [...found.values()].toSorted((a, b) => b.self - a.self);
}

const codecs =
  /^(parse|stringify|utf8Slice|utf8Write|utf8WriteStatic|latin1Slice|latin1Write|latin1WriteStatic|asciiSlice|encode|decode|encodeInto)$/;

function groupOf(name, url) {
  if (name === "(garbage collector)") return "garbage collector";
  if (url === "") return codecs.test(name) ? "codec (V8's JSON, text)" : "V8 and system calls";
  if (url.startsWith("node:")) return "Node";
  if (url.includes("/bench/lib/load.mjs")) return "the load itself";
  const ours = /\/packages\/ts-micro\/dist\/(?:(\w+)\/|(\w+)\.js)/.exec(url);
  if (ours !== null)
    return /\/(codec|wire)\/(json|go-json|protobuf|codec)/.test(url)
      ? "codec (ours)"
      : `ts-micro ${ours[1] ?? ours[2]}`;
  const library = /\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url);
  return library === null ? "the peer's file" : library[1];
}
