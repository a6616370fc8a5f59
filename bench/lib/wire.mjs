// The reference: the least that an RPC over one socket can be. A frame is u32le length of what follows · u32le id · u8 kind · u8 method ·
// body. Frames of one tick leave in one write, out of a slab that is used again.
export const kinds = { request: 0, reply: 1, failure: 2, open: 3, message: 4, end: 5 };
const header = 10;
const slabBytes = 256 * 1024;
const flushBytes = 64 * 1024;

export const json = {
  encode(writer, value) {
    const text = JSON.stringify(value);
    const length = text.length;
    if (length < 48) {
      // A loop over few bytes is cheaper than a call into C++.
      writer.reserve(length * 3);
      const { buffer } = writer;
      let at = writer.at;
      for (let i = 0; i < length; i++) {
        const code = text.charCodeAt(i);
        if (code > 127) {
          writer.at += buffer.utf8Write(text, writer.at, length * 3);
          return;
        }
        buffer[at++] = code;
      }
      writer.at = at;
      return;
    }
    writer.reserve(length < 8192 ? length * 3 : Buffer.byteLength(text));
    writer.at += writer.buffer.utf8Write(text, writer.at, writer.buffer.length - writer.at);
  },
  decode: (bytes, from, to) => JSON.parse(bytes.utf8Slice(from, to)),
};

function writeVarint(buffer, at, value) {
  while (value > 127) {
    buffer[at++] = (value & 127) | 128;
    value >>>= 7;
  }
  buffer[at++] = value;
  return at;
}

/** What a schema compiler would write for messages of texts and whole numbers: fields in order, names known. */
export const protobuf = (fields) => ({
  encode(writer, value) {
    for (let n = 0; n < fields.length; n++) {
      const field = value[fields[n]];
      if (typeof field === "number") {
        writer.reserve(6);
        writer.buffer[writer.at] = (n + 1) << 3;
        writer.at = writeVarint(writer.buffer, writer.at + 1, field);
      } else if (field !== undefined) {
        const { length } = field;
        const bytes = length < 24 ? asciiLength(field) : Buffer.byteLength(field);
        writer.reserve(bytes + 6);
        const { buffer } = writer;
        buffer[writer.at] = ((n + 1) << 3) | 2;
        let at = writeVarint(buffer, writer.at + 1, bytes);
        if (bytes === length && length < 24) for (let i = 0; i < length; i++) buffer[at++] = field.charCodeAt(i);
        else at += bytes === length ? buffer.latin1Write(field, at, bytes) : buffer.utf8Write(field, at, bytes);
        writer.at = at;
      }
    }
  },
  decode(bytes, from, to) {
    const value = {};
    let at = from;
    while (at < to) {
      const tag = bytes[at++];
      let number = 0;
      let shift = 0;
      let byte;
      do {
        byte = bytes[at++];
        number |= (byte & 127) << shift;
        shift += 7;
      } while (byte > 127);
      const field = fields[(tag >> 3) - 1];
      if ((tag & 7) === 0) value[field] = number;
      else {
        value[field] = bytes.utf8Slice(at, at + number);
        at += number;
      }
    }
    return value;
  },
});

function asciiLength(text) {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return Buffer.byteLength(text);
  return text.length;
}

export class Writer {
  buffer = Buffer.allocUnsafeSlow(slabBytes);
  at = 0;
  #from = 0;
  #mark = 0;
  #scheduled = false;

  constructor(socket) {
    this.socket = socket;
  }

  get queued() {
    return this.at - this.#from;
  }

  reserve(bytes) {
    if (this.at + bytes > this.buffer.length) this.#roll(bytes);
  }

  begin(id, kind, method) {
    this.#mark = this.at;
    this.reserve(header);
    const { buffer, at } = this;
    buffer[at + 4] = id;
    buffer[at + 5] = id >>> 8;
    buffer[at + 6] = id >>> 16;
    buffer[at + 7] = id >>> 24;
    buffer[at + 8] = kind;
    buffer[at + 9] = method;
    this.at = at + header;
  }

  end() {
    const { buffer } = this;
    const at = this.#mark;
    const length = this.at - at - 4;
    buffer[at] = length;
    buffer[at + 1] = length >>> 8;
    buffer[at + 2] = length >>> 16;
    buffer[at + 3] = length >>> 24;
    if (this.queued > flushBytes) this.flush();
    else this.#schedule();
  }

  /** A frame that was made elsewhere. */
  copy(bytes, length) {
    this.#mark = this.at;
    this.reserve(length);
    bytes.copy(this.buffer, this.at, 0, length);
    this.at += length;
    this.#schedule();
  }

  /** What was written, without sending it. */
  take() {
    const length = this.at;
    this.at = 0;
    return length;
  }

  flush = () => {
    this.#scheduled = false;
    const { socket, at } = this;
    if (socket === undefined || at === this.#from) return;
    socket.write(this.buffer.subarray(this.#from, at));
    if (socket.writableLength === 0) {
      this.#from = this.at = 0;
      if (this.buffer.length > slabBytes * 4) this.buffer = Buffer.allocUnsafeSlow(slabBytes);
    } else if (this.buffer.length - at < 16_384) {
      this.buffer = Buffer.allocUnsafeSlow(slabBytes);
      this.#from = this.at = 0;
    } else this.#from = at;
  };

  #schedule() {
    if (this.#scheduled || this.socket === undefined) return;
    this.#scheduled = true;
    process.nextTick(this.flush);
  }

  /** No room: the frame that is being built moves to a fresh slab. */
  #roll(bytes) {
    const begun = this.at - this.#mark;
    if (this.#mark > this.#from) this.socket.write(this.buffer.subarray(this.#from, this.#mark));
    const fresh = Buffer.allocUnsafeSlow(Math.max(slabBytes, begun + bytes + 1024));
    this.buffer.copy(fresh, 0, this.#mark, this.at);
    this.buffer = fresh;
    this.#from = this.#mark = 0;
    this.at = begun;
  }
}

const lengthAt = (bytes, at) =>
  (bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)) >>> 0;
export const idAt = lengthAt;

/** Calls `frame(bytes, from, to)` for each whole frame of what `push` is given, without the length. */
export class Reader {
  #frame;
  #carry = Buffer.allocUnsafeSlow(65_536);
  #have = 0;

  constructor(frame) {
    this.#frame = frame;
  }

  push(chunk, length) {
    let at = 0;
    if (this.#have > 0) {
      while (this.#have < 4 && at < length) this.#carry[this.#have++] = chunk[at++];
      if (this.#have < 4) return;
      const total = 4 + lengthAt(this.#carry, 0);
      this.#grow(total);
      const taken = Math.min(total - this.#have, length - at);
      chunk.copy(this.#carry, this.#have, at, at + taken);
      this.#have += taken;
      at += taken;
      if (this.#have < total) return;
      this.#have = 0;
      this.#frame(this.#carry, 4, total);
    }
    while (length - at >= 4) {
      const end = at + 4 + lengthAt(chunk, at);
      if (end > length) break;
      this.#frame(chunk, at + 4, end);
      at = end;
    }
    if (at < length) {
      this.#grow(length - at);
      chunk.copy(this.#carry, 0, at, length);
      this.#have = length - at;
    }
  }

  #grow(total) {
    if (total <= this.#carry.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(total, this.#carry.length * 2));
    this.#carry.copy(larger, 0, 0, this.#have);
    this.#carry = larger;
  }
}
