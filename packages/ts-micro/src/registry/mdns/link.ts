import type { Socket } from "node:dgram";
import { networkInterfaces } from "node:os";
import { systemClock, type Clock, type Timer } from "../../clock.ts";
import { errors, type MicroError } from "../../errors.ts";
import { bindSocket, closeSocket, sendTo, type Sender } from "./socket.ts";

export interface LinkOptions {
  readonly port: number;
  readonly group4: string;
  readonly group6: string;
  /** Only this one, by name or address. */
  readonly interface: string | undefined;
  readonly clock?: Clock | undefined;
}

export interface LinkEvents {
  /** A packet of somebody else. `listening`: it came to the well-known port, else to one that queries are sent from. */
  packet(bytes: Buffer, from: Sender, listening: boolean): void;
  /** An interface came: what was sent before has not been heard there. */
  joined(): void;
}

interface Way {
  readonly group: string;
  readonly socket: Socket;
  readonly port: number;
}

interface Face {
  readonly name: string;
  readonly address: string;
  readonly family: "IPv4" | "IPv6";
}

/** Errors by which an interface that is not there any more, or a new one of the old name, shows. */
const gone = new Set(["ENODEV", "ENXIO", "EADDRNOTAVAIL"]);

/** How often interfaces are looked at. */
const pollMs = 10_000;

/** The multicast groups on every interface: one listening socket per family, one sending socket per interface, as multicast goes out by one of them only. */
export class Link {
  readonly #options: LinkOptions;
  readonly #events: LinkEvents;
  readonly #clock: Clock;
  readonly #ways = new Map<string, Way>();
  readonly #joined = new Set<string>();
  readonly #addresses = new Set<string>();
  readonly #listeners = new Map<"IPv4" | "IPv6", Socket>();
  #scanning: Promise<void> | undefined;
  #timer: Timer | undefined;
  #listening = false;
  #problem: Error | undefined;
  #closed = false;
  /** Packets so far. */
  received = 0;

  constructor(options: LinkOptions, events: LinkEvents) {
    this.#options = options;
    this.#events = events;
    this.#clock = options.clock ?? systemClock;
  }

  /** Whether packets of others are heard: those by IPv4, wherever there is any, as most peers speak no other. */
  get up(): boolean {
    const of4 = (key: string): boolean => key.endsWith("IPv4");
    const joined = [...this.#joined];
    return [...this.#ways.keys()].some(of4) ? joined.some(of4) : joined.length > 0;
  }

  /**
   * Opens what is missing: the sending sockets, and with `listen` the well-known port.
   * @throws MicroError REGISTRY_UNAVAILABLE
   */
  async open(listen: boolean): Promise<void> {
    this.#check();
    const wanted = (): boolean => this.#ways.size > 0 && (!listen || this.up);
    if (wanted()) return;
    this.#listening ||= listen;
    await this.#scanning;
    await this.#scan();
    this.#check();
    if (!wanted()) throw this.#unavailable(listen);
  }

  /**
   * Sends to both groups on every interface.
   * @throws MicroError REGISTRY_UNAVAILABLE when no interface took it.
   */
  async multicast(packet: Uint8Array): Promise<void> {
    const results = await Promise.all([...this.#ways].map(([key, way]) => this.#send(packet, key, way)));
    if (results.includes(true)) return;
    this.#check();
    throw this.#unavailable(false);
  }

  async #send(packet: Uint8Array, key: string, way: Way): Promise<boolean> {
    const error = await sendTo(way.socket, packet, this.#options.port, way.group);
    if (error === undefined) return true;
    this.#problem = error;
    if (gone.has((error as NodeJS.ErrnoException).code ?? "")) this.#drop(key, way.socket);
    return false;
  }

  /** Best effort. To a peer on this host by loopback as well, as a VPN may keep its own address from it (v4:util/mdns/server.go). */
  reply(packet: Uint8Array, to: Sender): void {
    const { address, port, family } = to;
    const socket = this.#listeners.get(family);
    if (socket === undefined) return;
    void sendTo(socket, packet, port, address);
    if (family === "IPv4" && this.#addresses.has(address) && !address.startsWith("127."))
      void sendTo(socket, packet, port, "127.0.0.1");
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#timer !== undefined) this.#clock.cancel(this.#timer);
    await this.#scanning;
    for (const { socket } of this.#ways.values()) closeSocket(socket);
    for (const socket of this.#listeners.values()) closeSocket(socket);
    this.#ways.clear();
    this.#listeners.clear();
    this.#joined.clear();
  }

  /** One at a time. */
  #scan(): Promise<void> {
    this.#scanning ??= this.#look().finally(() => {
      this.#scanning = undefined;
      if (this.#closed) return;
      if (this.#timer !== undefined) this.#clock.cancel(this.#timer);
      this.#timer = this.#clock.after(pollMs, () => void this.#scan());
    });
    return this.#scanning;
  }

  async #look(): Promise<void> {
    let fresh = false;
    const faces = this.#faces();
    const present = new Set(faces.map(keyOf));
    for (const [key, way] of this.#ways) if (!present.has(key)) this.#drop(key, way.socket);
    for (const key of this.#joined) if (!present.has(key)) this.#joined.delete(key);
    for (const face of faces) {
      if (!this.#ways.has(keyOf(face))) await this.#sendOn(face);
      if (this.#listening && (await this.#join(face))) fresh = true;
    }
    if (fresh && !this.#closed) this.#events.joined();
  }

  #faces(): Face[] {
    const { interface: only } = this.#options;
    const faces = new Map<string, Face>();
    this.#addresses.clear();
    try {
      for (const [name, infos] of Object.entries(networkInterfaces()))
        for (const { address, family } of infos ?? []) {
          this.#addresses.add(address);
          const key = `${name} ${family}`;
          if (!faces.has(key) && (only === undefined || only === name || only === address))
            faces.set(key, { name, address, family });
        }
    } catch (error) {
      this.#problem = error as Error;
    }
    return [...faces.values()];
  }

  async #sendOn(face: Face): Promise<void> {
    const { name, address, family } = face;
    const key = keyOf(face);
    try {
      const type = family === "IPv4" ? "udp4" : "udp6";
      const socket = await bindSocket(
        { type },
        0,
        (bytes, from) => this.#take(bytes, from, false),
        () => this.#drop(key, socket),
      );
      const group = family === "IPv4" ? this.#options.group4 : `${this.#options.group6}%${name}`;
      this.#ways.set(key, { group, socket, port: socket.address().port });
      try {
        if (family === "IPv4") socket.setMulticastInterface(address);
        socket.setMulticastTTL(255);
        socket.setMulticastLoopback(true);
      } catch (error) {
        this.#problem = error as Error;
        this.#drop(key, socket);
      }
    } catch (error) {
      this.#problem = error as Error;
    }
  }

  /** Also where it was done before: an interface made anew in between has forgotten it. True when it was not there. */
  async #join(face: Face): Promise<boolean> {
    const { family, address, name } = face;
    const known = this.#joined.has(keyOf(face));
    try {
      const socket = this.#listeners.get(family) ?? (await this.#listen(family));
      if (family === "IPv4") socket.addMembership(this.#options.group4, address);
      else socket.addMembership(this.#options.group6, `::%${name}`);
    } catch (error) {
      const { code, syscall } = error as NodeJS.ErrnoException;
      // It is there.
      if (code === "EADDRINUSE" && syscall === "addMembership") return !known && this.#heardOn(face);
      this.#problem = error as Error;
      this.#joined.delete(keyOf(face));
      return false;
    }
    return this.#heardOn(face);
  }

  #heardOn(face: Face): true {
    this.#joined.add(keyOf(face));
    return true;
  }

  /** Bound to every address: on Linux a socket bound to one of them hears no multicast. Shared with every other responder of the host. */
  async #listen(family: "IPv4" | "IPv6"): Promise<Socket> {
    const options = {
      type: family === "IPv4" ? "udp4" : "udp6",
      reuseAddr: true,
      ipv6Only: family === "IPv6",
    } as const;
    const socket = await bindSocket(
      options,
      this.#options.port,
      (bytes, from) => this.#take(bytes, from, true),
      (error) => this.#deaf(family, error),
    );
    this.#listeners.set(family, socket);
    return socket;
  }

  #take(bytes: Buffer, from: Sender, listening: boolean): void {
    this.received++;
    if (!this.#closed && !this.#own(from)) this.#events.packet(bytes, from, listening);
  }

  #own({ address, port }: Sender): boolean {
    const [host = ""] = address.split("%");
    if (!this.#addresses.has(host)) return false;
    for (const way of this.#ways.values()) if (way.port === port) return true;
    return false;
  }

  #drop(key: string, socket: Socket): void {
    if (this.#ways.get(key)?.socket === socket) this.#ways.delete(key);
    closeSocket(socket);
  }

  /** The listening socket failed: the next look opens another one. */
  #deaf(family: "IPv4" | "IPv6", error: Error): void {
    this.#problem = error;
    this.#listeners.delete(family);
    for (const key of [...this.#joined]) if (key.endsWith(family)) this.#joined.delete(key);
  }

  #check(): void {
    if (this.#closed) throw errors.invalidState("mdns", "the registry is closed");
  }

  #unavailable(listen: boolean): MicroError {
    const { port, interface: only } = this.#options;
    const why = this.#problem === undefined ? "" : `: ${this.#problem.message}`;
    const where =
      only === undefined
        ? "no network interface takes part in multicast"
        : `interface ${only} takes no part in multicast`;
    const what =
      listen && this.#ways.size > 0
        ? `cannot listen on UDP port ${port}${why}; another program may hold it alone`
        : `${where}${why}; bring ${only === undefined ? "one" : "it"} up`;
    const instead = "or use a registry that needs no multicast (MICRO_REGISTRY=local)";
    return errors.registryUnavailable("mdns", `${what}, ${instead}`, this.#problem);
  }
}

function keyOf({ name, address, family }: Face): string {
  return `${name} ${address} ${family}`;
}
