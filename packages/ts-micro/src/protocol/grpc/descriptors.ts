import type { DescFile, DescMessage, DescService } from "@bufbuild/protobuf";
import { loadPeer } from "../../internal/peer.ts";
import type { RoutedEndpoint } from "../../server.ts";
import type { ReflectionAnswer } from "../../wire/grpc/reflection.ts";

/** The files behind the endpoints, each with what it imports. */
export interface Files {
  byName(name: string): ReflectionAnswer | undefined;
  bySymbol(name: string): ReflectionAnswer | undefined;
  byExtension(type: string, number: number): ReflectionAnswer | undefined;
  extensionsOf(type: string): ReflectionAnswer | undefined;
}

/** Rejects with PACKAGE_MISSING. */
export async function openFiles(endpoints: readonly RoutedEndpoint[]): Promise<Files> {
  const { toBinary, createRegistry } = await loadPeer("@bufbuild/protobuf", () => import("@bufbuild/protobuf"));
  const { FileDescriptorProtoSchema } = await loadPeer("@bufbuild/protobuf", () => import("@bufbuild/protobuf/wkt"));
  const files = new Map<string, DescFile>();
  const add = (file: DescFile): void => {
    if (files.has(fileName(file))) return;
    files.set(fileName(file), file);
    for (const dependency of file.dependencies) add(dependency);
  };
  for (const { descriptors, internal } of endpoints)
    if (descriptors !== undefined && !internal) {
      add((descriptors.service as unknown as DescService).file);
      add((descriptors.request as unknown as DescMessage).file);
      add((descriptors.response as unknown as DescMessage).file);
    }
  const registry = createRegistry(...files.values());
  const encoded = new Map<DescFile, Uint8Array>();
  const bytesOf = (file: DescFile): Uint8Array => {
    let bytes = encoded.get(file);
    if (bytes === undefined) encoded.set(file, (bytes = toBinary(FileDescriptorProtoSchema, file.proto)));
    return bytes;
  };
  /** The file, and after it what it needs, so that one answer is enough. */
  const whole = (file: DescFile | undefined): ReflectionAnswer | undefined => {
    if (file === undefined || !files.has(fileName(file))) return undefined;
    const all = new Set<DescFile>();
    const walk = (each: DescFile): void => {
      if (all.has(each)) return;
      all.add(each);
      for (const dependency of each.dependencies) walk(dependency);
    };
    walk(file);
    return { files: [...all].map(bytesOf) };
  };
  return {
    byName: (name) => whole(files.get(name)),
    // A method or a field is found in what it is part of.
    bySymbol: (name) => whole((registry.get(name) ?? registry.get(name.slice(0, name.lastIndexOf("."))))?.file),
    byExtension: (type, number) => {
      const extendee = registry.getMessage(type);
      return extendee === undefined ? undefined : whole(registry.getExtensionFor(extendee, number)?.file);
    },
    extensionsOf: (type) => {
      if (registry.getMessage(type) === undefined) return undefined;
      const numbers = [...registry].flatMap((each) =>
        each.kind === "extension" && each.extendee.typeName === type ? [each.number] : [],
      );
      return { type, numbers };
    },
  };
}

/** A descriptor has its file's name without the extension. */
function fileName(file: DescFile): string {
  return `${file.name}.proto`;
}
