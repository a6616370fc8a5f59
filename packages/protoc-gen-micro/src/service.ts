import type { DescMethod, DescService } from "@bufbuild/protobuf";
import type { GeneratedFile } from "@bufbuild/protoplugin";
import { endpointOf } from "./endpoint.ts";
import { at, fault } from "./fault.ts";
import type { ServiceNames } from "./names.ts";

type Printable = Parameters<GeneratedFile["array"]>[0][number];

/** Prints the client, the handler and the endpoints of a service. */
export function generateService(file: GeneratedFile, service: DescService, names: ServiceNames): void {
  refuseTwins(service);
  const print = new Printer(file, service, names);
  print.client();
  print.handler();
  print.endpoints();
  print.register();
}

class Printer {
  readonly #file: GeneratedFile;
  readonly #service: DescService;
  readonly #names: ServiceNames;
  readonly #shadowed: ReadonlySet<string>;

  constructor(file: GeneratedFile, service: DescService, names: ServiceNames) {
    this.#file = file;
    this.#service = service;
    this.#names = names;
    this.#shadowed = new Set(
      service.file.services.flatMap(({ methods }) =>
        methods.flatMap(({ input, output }) => [file.importShape(input).name, file.importShape(output).name]),
      ),
    );
  }

  client(): void {
    const file = this.#file;
    const { client, makeClient } = this.#names;
    file.print(file.jsDoc(this.#service));
    file.print(file.export("interface", client), " {");
    for (const method of this.#service.methods) {
      file.print(file.jsDoc(method, "  "));
      file.print("  ", property(method), this.#clientSignature(method), ";");
    }
    file.print("}");
    file.print();
    file.print(
      file.jsDoc(
        `Client of ${this.#service.typeName} in the service \`name\`; opens nothing before its first call.\n\`options\` hold for each call.`,
      ),
    );
    file.print(file.export("function", makeClient), "(");
    const [name, through, options] = [this.#local("name"), this.#local("client"), this.#local("options")];
    file.print("  ", name, ": string,");
    file.print("  ", through, ": ", this.#micro("Client"), ",");
    file.print("  ", options, "?: ", this.#micro("CallOptions"), ",");
    file.print("): ", client, " {");
    file.print("  return ", through, ".service(", name, ", ", file.importSchema(this.#service), ", ", options, ");");
    file.print("}");
    file.print();
  }

  handler(): void {
    const file = this.#file;
    file.print(file.jsDoc(`Handler of ${this.#service.typeName}: an object or an instance of a class.`));
    file.print(file.export("interface", this.#names.handler), " {");
    for (const method of this.#service.methods) {
      file.print(file.jsDoc(method, "  "));
      file.print("  ", property(method), this.#handlerSignature(method), ";");
    }
    file.print("}");
    file.print();
  }

  endpoints(): void {
    const file = this.#file;
    const { endpoints } = this.#names;
    file.print(file.jsDoc(`Endpoints of ${this.#service.typeName}.`));
    const type = [this.#global("ReadonlyArray"), "<", this.#micro("ProtoEndpoint"), ">"];
    if (this.#service.methods.length === 0) file.print(file.export("const", endpoints), ": ", type, " = [];");
    else {
      file.print(file.export("const", endpoints), ": ", type, " = [");
      for (const method of this.#service.methods) this.#endpoint(method);
      file.print("];");
    }
    file.print();
  }

  #endpoint(method: DescMethod): void {
    const file = this.#file;
    const { metadata, ...facts } = endpointOf(method);
    const value = (each: string | boolean): Printable => (typeof each === "string" ? file.string(each) : each);
    file.print("  {");
    for (const [key, each] of Object.entries(facts)) file.print("    ", key, ": ", value(each), ",");
    const rows = Object.entries(metadata);
    if (rows.length === 0) file.print("    metadata: {},");
    else {
      file.print("    metadata: {");
      for (const [key, each] of rows) file.print("      ", key, ": ", value(each), ",");
      file.print("    },");
    }
    file.print("  },");
  }

  register(): void {
    const file = this.#file;
    const { register, handler, endpoints } = this.#names;
    file.print(
      file.jsDoc(
        `Adds a handler of ${this.#service.typeName} to a service. The metadata of its endpoints goes into the registry;\n\`options.metadata\` of an endpoint takes its place.`,
      ),
    );
    const S = this.#shadowed.has("S") ? "S$" : "S";
    const [server, impl, options] = [this.#local("server"), this.#local("handler"), this.#local("options")];
    file.print(file.export("function", register), "<", S, " extends ", this.#micro("ProtoServer"), ">(");
    file.print("  ", server, ": ", S, ",");
    file.print("  ", impl, ": ", handler, ",");
    file.print("  ", options, "?: ", this.#micro("HandleOptions"), ",");
    file.print("): ", S, " {");
    file.print("  ", server, ".implement(", file.importSchema(this.#service), ", ", impl, ", {");
    file.print("    ...", options, ",");
    file.print("    metadata: {");
    const entries = [
      this.#global("Object"),
      ".fromEntries(",
      endpoints,
      ".map((each) => [each.method, each.metadata]))",
    ];
    file.print("      ...", entries, ",");
    file.print("      ...", options, "?.metadata,");
    file.print("    },");
    file.print("  });");
    file.print("  return ", server, ";");
    file.print("}");
    file.print();
  }

  #clientSignature({ methodKind, input, output }: DescMethod): Printable[] {
    const options = [", options?: ", this.#micro("CallOptions"), "): "];
    const [init, reply] = [this.#init(input), this.#file.importShape(output)];
    const many: Printable[] = [this.#global("AsyncIterable"), "<", init, ">"];
    const one: Printable[] = [this.#global("Promise"), "<", reply, ">"];
    switch (methodKind) {
      case "unary":
        return ["(request: ", init, options, one];
      case "server_streaming":
        return ["(request: ", init, options, this.#micro("Stream"), "<", reply, ">"];
      case "client_streaming":
        return ["(requests: ", many, options, one];
      case "bidi_streaming":
        return ["(requests?: ", many, options, this.#micro("Duplex"), "<", init, ", ", reply, ">"];
    }
  }

  #handlerSignature({ methodKind, input, output }: DescMethod): Printable[] {
    const context = [", ctx: ", this.#micro("Context"), "): "];
    const [request, init] = [this.#file.importShape(input), this.#init(output)];
    const requests = [this.#global("AsyncIterable"), "<", request, ">"];
    const one: Printable[] = [init, " | ", this.#global("Promise"), "<", init, ">"];
    const many: Printable[] = [this.#global("AsyncIterable"), "<", init, ">"];
    switch (methodKind) {
      case "unary":
        return ["(request: ", request, context, one];
      case "server_streaming":
        return ["(request: ", request, context, many];
      case "client_streaming":
        return ["(requests: ", requests, context, one];
      case "bidi_streaming":
        return ["(requests: ", requests, context, many];
    }
  }

  /** What a message can be made of. */
  #init(message: DescMethod["input"]): Printable[] {
    const shape = this.#file.import("MessageInitShape", "@bufbuild/protobuf", true);
    return [shape, "<typeof ", this.#file.importSchema(message, true), ">"];
  }

  /** A parameter, also where the service itself has its name. */
  #local(name: string): string {
    return this.#file.importSchema(this.#service).name === name ? `${name}$` : name;
  }

  #micro(name: string): Printable {
    return this.#file.import(name, "ts-micro", true);
  }

  /** A global, also where a message has its name. */
  #global(name: string): string {
    return this.#shadowed.has(name) ? `globalThis.${name}` : name;
  }
}

/** In an interface `new()` without quotes is a constructor. */
function property({ localName }: DescMethod): string {
  return localName === "new" ? '"new"' : localName;
}

/** protobuf-es keeps methods by their name in TypeScript: the later of two would take the place of the other. */
function refuseTwins({ methods }: DescService): void {
  const first = new Map<string, DescMethod>();
  for (const method of methods) {
    const other = first.get(method.localName);
    if (other !== undefined)
      throw fault(
        at(method),
        `rpc ${other.name} and rpc ${method.name} are both ${method.localName} in TypeScript; rename one`,
      );
    first.set(method.localName, method);
  }
}
