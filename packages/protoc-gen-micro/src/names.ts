import type { DescFile, DescService } from "@bufbuild/protobuf";

/** What the generated code of one service exports. */
export interface ServiceNames {
  /** `GreeterService`, the client's interface. */
  readonly client: string;
  /** `greeterService` */
  readonly makeClient: string;
  /** `GreeterHandler` */
  readonly handler: string;
  /** `registerGreeterHandler` */
  readonly register: string;
  /** `greeterEndpoints` */
  readonly endpoints: string;
}

/**
 * Names as Go Micro's generator makes them: `greeter_api` gives `GreeterApi…`, and a service that is called `GreeterService` has the client
 * `GreeterService`, unless there is also a `Greeter`. Services that meet (`Greeter`, `greeter`) get a `$` as protobuf-es has it.
 */
export function namesIn(file: DescFile): ReadonlyMap<DescService, ServiceNames> {
  const bases = new Set(file.services.map(({ name }) => upper(name)));
  const taken = new Set<string>();
  const named = new Map<DescService, ServiceNames>();
  for (const service of file.services) {
    const base = upper(service.name);
    const short = base.endsWith("Service") ? base.slice(0, -"Service".length) : "";
    const client = short !== "" && !bases.has(short) ? base : `${base}Service`;
    for (let salt = ""; !named.has(service); salt = salted(salt)) {
      const names: ServiceNames = {
        client: `${client}${salt}`,
        makeClient: `${lower(client)}${salt}`,
        handler: `${base}Handler${salt}`,
        register: `register${base}Handler${salt}`,
        endpoints: `${lower(base)}Endpoints${salt}`,
      };
      const all = Object.values<string>({ ...names });
      if (all.some((name) => taken.has(name))) continue;
      for (const name of all) taken.add(name);
      named.set(service, names);
    }
  }
  return named;
}

/** "" → "$" → "$1" → "$2" */
function salted(salt: string): string {
  return salt === "" ? "$" : `$${Number(salt.slice(1)) + 1}`;
}

function upper(name: string): string {
  const camel = name.replaceAll(/_+([a-zA-Z0-9])/g, (_, letter: string) => letter.toUpperCase());
  return camel.charAt(0).toUpperCase() + camel.slice(1);
}

/** `HTTPGate` → `httpGate`, `Greeter` → `greeter` */
function lower(name: string): string {
  return name.replace(/^[A-Z]+(?=[A-Z][a-z]|$)|^[A-Z]/, (head) => head.toLowerCase());
}
