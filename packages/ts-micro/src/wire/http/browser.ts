import { milliseconds, type Duration } from "../../duration.ts";
import { errors } from "../../errors.ts";

/** Headers as HTTP routes see them: names in lower case. */
export type Headers = Readonly<Record<string, string>>;

/** Which web pages may call a service (CORS, https://fetch.spec.whatwg.org/#http-cors-protocol). */
export interface CorsOptions {
  /** Origins such as `https://app.example.com`, `https://*.example.com` for any name below one, `null` for pages without an origin; or `*` for all. */
  origins: readonly string[] | "*";
  /** Request headers that pages may send. Default: all that they ask for. */
  headers?: readonly string[] | undefined;
  /** Answer headers that pages may read. Default: all of each answer. */
  exposed?: readonly string[] | undefined;
  /** Default GET and POST. */
  methods?: readonly string[] | undefined;
  /** Pages may send cookies. Only with listed origins. Default false. */
  credentials?: boolean | undefined;
  /** How long a browser may remember a preflight. Default 2 h, the longest that Chromium takes. */
  maxAge?: Duration | undefined;
  /** Pages of the public network may call into a private one. Default false. */
  privateNetwork?: boolean | undefined;
}

/** What every HTTP route asks before it takes a call. */
export interface BrowserRule {
  /**
   * Lets a call in. One with `Origin` needs an allowed origin; one with `Sec-Fetch-Site` alone needs the content type `application/json`:
   * otherwise any page could run any endpoint, since much is sent without a preflight. One that only reads, which its method must say, is also
   * let in from a page of the same origin or from the address bar. Gives what the answer's headers need beside their own.
   * @throws MicroError FORBIDDEN
   */
  admit(headers: Headers, onlyReads?: boolean): (answer: Headers) => Headers;
  /** Headers of the answer (204) to a preflight of an allowed origin; undefined for any other request. */
  preflight(method: string, headers: Headers): Headers | undefined;
}

const id = "go.micro.server";
/** Answer headers that pages may always read. */
const readable =
  /^(?:cache-control|content-(?:language|length|type)|expires|last-modified|pragma|date|connection|vary)$/;
const tokens = /^[!#$%&'*+\-.^_`|~0-9a-z]+(?: *, *[!#$%&'*+\-.^_`|~0-9a-z]+)*$/i;
const none: Headers = Object.freeze({});

/** Content type without its parameters, in lower case. */
export function baseType(contentType: string | undefined): string {
  const text = contentType ?? "";
  const end = text.indexOf(";");
  return (end < 0 ? text : text.slice(0, end)).trim().toLowerCase();
}

/**
 * The rule for `cors`; without it no page is let in.
 * @throws MicroError BAD_REQUEST for an origin that is none, and for credentials with `*`.
 */
export function browserRule(cors?: CorsOptions): BrowserRule {
  const allows = cors === undefined ? undefined : matcher(cors);
  return {
    admit(headers, onlyReads = false) {
      const { origin } = headers;
      if (origin === undefined) {
        const site = headers["sec-fetch-site"];
        const own = site === undefined || (onlyReads && (site === "same-origin" || site === "none"));
        if (!own && baseType(headers["content-type"]) !== "application/json")
          throw errors.forbidden(id, "browsers call with content type application/json, or from an allowed origin");
        if (cors === undefined) return () => none;
        // A cache may hand on what was only read, to a page of another origin.
        if (!onlyReads) return ({ vary }) => (cors.origins === "*" ? none : { vary: varying(vary) });
      } else if (cors === undefined || allows === undefined)
        throw errors.forbidden(id, "calls from web pages are off: the option `cors` names the origins that may call");
      else if (!allows(origin)) throw errors.forbidden(id, `calls from ${origin.slice(0, 200)} are not allowed`);
      return (answer) => ({ ...allowed(cors, origin, answer["vary"]), ...exposure(cors, answer) });
    },
    preflight(method, headers) {
      const { origin, "access-control-request-method": wanted } = headers;
      if (method !== "OPTIONS" || origin === undefined || wanted === undefined) return undefined;
      if (cors === undefined || allows === undefined || !allows(origin)) return undefined;
      const asked = headers["access-control-request-headers"] ?? "";
      const sent = cors.headers?.join(", ") ?? (tokens.test(asked) ? asked : "");
      const near = cors.privateNetwork === true && headers["access-control-request-private-network"] === "true";
      return {
        ...allowed(cors, origin),
        "access-control-allow-methods": (cors.methods ?? ["GET", "POST"]).join(", "),
        ...(sent === "" ? none : { "access-control-allow-headers": sent }),
        "access-control-max-age": String(Math.floor(milliseconds(cors.maxAge ?? "2h") / 1000)),
        ...(near ? { "access-control-allow-private-network": "true" } : none),
        vary: "origin, access-control-request-method, access-control-request-headers",
      };
    },
  };
}

function matcher(cors: CorsOptions): (origin: string) => boolean {
  const { origins } = cors;
  if (origins === "*") {
    if (cors.credentials === true) throw errors.badRequest(id, "cors: credentials need listed origins, not *");
    return () => true;
  }
  const exact = new Set<string>();
  const below: { readonly scheme: string; readonly suffix: string }[] = [];
  for (const each of origins) {
    const wild = /^([a-z][a-z0-9+.-]*:\/\/)\*(\..+)$/i.exec(each);
    if (wild === null) exact.add(normal(each, each));
    else {
      const scheme = (wild[1] as string).toLowerCase();
      below.push({ scheme, suffix: normal(`${scheme}x${wild[2]}`, each).slice(scheme.length + 1) });
    }
  }
  return (origin) =>
    exact.has(origin) ||
    below.some(({ scheme, suffix }) => {
      const name = origin.startsWith(scheme) && origin.endsWith(suffix) && origin.slice(scheme.length, -suffix.length);
      return name !== false && /^[a-z0-9-]+(?:\.[a-z0-9-]+)*$/.test(name);
    });
}

/** As browsers write it: no path, no default port, lower case. */
function normal(origin: string, given: string): string {
  if (origin === "null") return origin;
  const url = URL.canParse(origin) ? new URL(origin) : undefined;
  if (
    url === undefined ||
    !/^[^*]+$/.test(url.host) ||
    url.pathname.length > 1 ||
    url.search + url.hash + url.username !== ""
  )
    throw errors.badRequest(id, `cors: ${JSON.stringify(given)} is no origin: write it as https://app.example.com`);
  return `${url.protocol}//${url.host}`;
}

/** Caches keep what pages of one origin got, or callers of none, from those of others. */
function varying(vary: string | undefined): string {
  return vary === undefined ? "origin" : `${vary}, origin`;
}

/** Without an origin: what an answer needs that may be given to one later. */
function allowed(cors: CorsOptions, origin: string | undefined, vary?: string): Headers {
  if (cors.origins === "*") return { "access-control-allow-origin": "*" };
  if (origin === undefined) return { vary: varying(vary) };
  const headers = { "access-control-allow-origin": origin, vary: varying(vary) };
  return cors.credentials === true ? { ...headers, "access-control-allow-credentials": "true" } : headers;
}

function exposure(cors: CorsOptions, answer: Headers): Headers {
  const names = cors.exposed ?? Object.keys(answer).filter((name) => !readable.test(name));
  return names.length === 0 ? none : { "access-control-expose-headers": names.join(", ") };
}
