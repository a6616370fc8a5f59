// The reference R: one multiplexed node:net socket and nothing else. No metadata, deadline, cancellation or wrapper.
import { once } from "node:events";
import net from "node:net";
import { idAt, json, kinds, protobuf, Reader, Writer } from "../lib/wire.mjs";

const methods = { hello: 0, count: 1, chat: 2, subscribe: 3, publish: 4 };
const highWater = 1 << 18;

const codecsOf = ({ codec }) =>
  codec === "protobuf"
    ? { request: protobuf(["name"]), reply: protobuf(["msg"]), item: protobuf(["i", "s"]), order: protobuf(["n"]) }
    : { request: json, reply: json, item: json, order: json };

const item = (i) => ({ i, s: "tick" });
const drained = (socket) => (socket.writableLength > highWater ? once(socket, "drain") : undefined);

export async function start(options) {
  const codecs = codecsOf(options);
  const subscribers = new Set();
  const hello = ({ name }) => ({ msg: `Hello ${name}` });

  async function count(socket, writer, id, n) {
    for (let i = 0; i < n; i++) {
      writer.begin(id, kinds.message, 0);
      codecs.item.encode(writer, item(i));
      writer.end();
      if (writer.queued > 60_000) {
        writer.flush();
        const wait = drained(socket);
        if (wait) await wait;
      }
    }
    writer.begin(id, kinds.end, 0);
    writer.end();
  }

  /** Encoded once, copied to each subscriber. */
  async function publish(n) {
    const once_ = new Writer(undefined);
    const writers = [...subscribers];
    for (let i = 0; i < n; i++) {
      once_.begin(0, kinds.message, 0);
      codecs.item.encode(once_, item(i));
      once_.end();
      const length = once_.take();
      for (const writer of writers) writer.copy(once_.buffer, length);
      if (writers[0].queued > 60_000) {
        for (const writer of writers) writer.flush();
        for (const { socket } of writers) await drained(socket);
      }
    }
  }

  const server = net.createServer((socket) => {
    socket.setNoDelay(true).on("error", () => {});
    const writer = new Writer(socket);
    const chats = new Set();
    const reader = new Reader((bytes, from, to) => {
      const id = idAt(bytes, from);
      const kind = bytes[from + 4];
      const method = bytes[from + 5];
      if (kind === kinds.request) {
        const reply = hello(codecs.request.decode(bytes, from + 6, to));
        writer.begin(id, kinds.reply, 0);
        codecs.reply.encode(writer, reply);
        writer.end();
      } else if (kind === kinds.message) {
        const { i, s } = codecs.item.decode(bytes, from + 6, to);
        writer.begin(id, kinds.message, 0);
        codecs.item.encode(writer, { i, s });
        writer.end();
      } else if (kind === kinds.end) {
        chats.delete(id);
        writer.begin(id, kinds.end, 0);
        writer.end();
      } else if (method === methods.chat) chats.add(id);
      else if (method === methods.count) void count(socket, writer, id, codecs.order.decode(bytes, from + 6, to).n);
      else if (method === methods.publish) void publish(codecs.order.decode(bytes, from + 6, to).n);
      else {
        subscribers.add(writer);
        socket.on("close", () => subscribers.delete(writer));
        writer.begin(id, kinds.end, 0);
        writer.end();
      }
    });
    socket.on("data", (chunk) => reader.push(chunk, chunk.length));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { address: String(server.address().port) };
}

/** One connection: calls in array slots, streams by id. */
class Connection {
  #codecs;
  #slots = Array.from({ length: 1024 }).fill(null);
  #free = Array.from({ length: 1024 }, (_, i) => 1023 - i);
  #streams = new Map();
  #next = 0x40000000;
  published = () => {};

  constructor(port, codecs) {
    this.#codecs = codecs;
    const reader = new Reader(this.#frame);
    const onread = {
      buffer: Buffer.allocUnsafeSlow(65_536),
      callback: (length, bytes) => {
        reader.push(bytes, length);
        return true;
      },
    };
    this.socket = net.connect({ port: Number(port), host: "127.0.0.1", noDelay: true, onread });
    this.writer = new Writer(this.socket);
  }

  #frame = (bytes, from, to) => {
    const id = idAt(bytes, from);
    const kind = bytes[from + 4];
    if (kind === kinds.reply) {
      const resolve = this.#slots[id];
      this.#slots[id] = null;
      this.#free.push(id);
      resolve(this.#codecs.reply.decode(bytes, from + 6, to));
    } else if (kind === kinds.message) {
      const message = this.#codecs.item.decode(bytes, from + 6, to);
      if (id === 0) this.published(message);
      else this.#streams.get(id).message(message);
    } else {
      this.#streams.get(id).end();
      this.#streams.delete(id);
    }
  };

  hello(request) {
    return new Promise((resolve) => {
      const id = this.#free.pop();
      this.#slots[id] = resolve;
      this.writer.begin(id, kinds.request, methods.hello);
      this.#codecs.request.encode(this.writer, request);
      this.writer.end();
    });
  }

  open(method, n, stream) {
    const id = this.#next++;
    this.#streams.set(id, stream);
    this.writer.begin(id, kinds.open, method);
    this.#codecs.order.encode(this.writer, { n });
    this.writer.end();
    return id;
  }

  send(id, message) {
    this.writer.begin(id, message === undefined ? kinds.end : kinds.message, 0);
    if (message !== undefined) this.#codecs.item.encode(this.writer, message);
    this.writer.end();
  }
}

export async function connect(port, options) {
  const codecs = codecsOf(options);
  const opened = async () => {
    const connection = new Connection(port, codecs);
    await once(connection.socket, "connect");
    return connection;
  };
  const connection = await opened();
  let subscribers;
  return {
    call: (name) => connection.hello({ name }),
    streamCallback: (n) =>
      new Promise((resolve) => {
        let got = 0;
        connection.open(methods.count, n, { message: () => got++, end: () => resolve(got) });
      }),
    chat: (n) =>
      new Promise((resolve) => {
        let got = 0;
        const id = connection.open(methods.chat, 0, {
          message: () => connection.send(id, ++got < n ? item(got) : undefined),
          end: () => resolve(got),
        });
        connection.send(id, item(0));
      }),
    async fanout(n) {
      subscribers ??= await Promise.all(
        Array.from({ length: 4 }, async () => {
          const each = await opened();
          await new Promise((end) => each.open(methods.subscribe, 0, { end }));
          return each;
        }),
      );
      let got = 0;
      return new Promise((resolve) => {
        for (const each of subscribers) each.published = () => ++got === n * 4 && resolve(got);
        connection.open(methods.publish, n, {});
      });
    },
  };
}
