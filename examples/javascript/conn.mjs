// One connection: dialling, accepting, the handshake, and frames in both directions.
import net from 'node:net';
import tls from 'node:tls';
import { Breach, Role, Status, answer, parseHello } from './wire.mjs';

// Refusal is an answer to a hello with another status than OK, or the reason for one.
export class Refusal extends Error {
  constructor(status, text) {
    super(`${text} (status ${status})`);
    Object.assign(this, { status, text });
  }
}

// Conn reads whole frames, and gathers what is written in one turn of the event loop into one write.
export class Conn {
  #parts = [];
  #have = 0;
  #need = Infinity;
  #resolve = null; // of read
  #batch = [];
  #batched = 0;

  constructor(socket, proof = null) {
    Object.assign(this, { socket, proof, closed: false, error: null, handle: null, onClose: () => {}, onBreach: (b) => this.destroy(b) });
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#take(chunk));
    socket.on('end', () => this.#end());
    socket.on('error', (err) => { this.error ??= err; });
    socket.on('close', () => this.#close());
  }

  // queued are the bytes that the connection has not taken yet.
  get queued() { return this.#batched + this.socket.writableLength; }

  write(bytes, first = false) {
    if (this.closed || this.socket.writableEnded) return;
    if (!this.#batch.length) queueMicrotask(() => this.flush());
    if (first) this.#batch.unshift(bytes);
    else this.#batch.push(bytes);
    this.#batched += bytes.length;
  }

  flush() {
    const batch = this.#batch;
    this.#batch = [];
    this.#batched = 0;
    if (batch.length && !this.closed && !this.socket.writableEnded) this.socket.write(batch.length === 1 ? batch[0] : Buffer.concat(batch));
  }

  // read returns the next n bytes. It is for the handshake.
  read(n) {
    return new Promise((resolve, reject) => {
      if (this.closed) reject(this.error ?? new Error('the connection was closed'));
      this.#need = n;
      this.#resolve = { resolve, reject };
      this.#parse();
    });
  }

  // start gives each whole frame to handle, from here on. check sees type and length of a frame
  // before there is room for it. Both throw a Breach to end the connection.
  start(check, handle) {
    this.check = check;
    this.handle = handle;
    this.#need = 4;
    this.#parse();
  }

  #take(chunk) {
    this.#parts.push(chunk);
    this.#have += chunk.length;
    if (!this.handle && this.#have > 65536 + 1024) this.socket.pause(); // no frames before the handshake is over
    this.#parse();
  }

  #parse() {
    if (this.#have < this.#need || this.closed) return;
    this.socket.resume();
    let b = this.#parts.length === 1 ? this.#parts[0] : Buffer.concat(this.#parts);
    if (this.#resolve) {
      const { resolve } = this.#resolve;
      this.#resolve = null;
      this.#parts = [b.subarray(this.#need)];
      this.#have -= this.#need;
      const head = b.subarray(0, this.#need);
      this.#need = Infinity;
      return resolve(head);
    }
    let at = 0;
    this.#need = 4;
    try {
      while (b.length - at >= 4) {
        const length = b.readUIntBE(at + 1, 3);
        this.check(b[at], length);
        if (b.length - at < 4 + length) {
          this.#need = 4 + length;
          break;
        }
        this.handle(b.subarray(at, at + 4 + length));
        at += 4 + length;
        if (this.closed) return;
      }
    } catch (err) {
      this.#parts = [];
      this.#have = 0;
      this.#need = Infinity;
      if (!(err instanceof Breach)) throw err;
      return this.onBreach(err);
    }
    this.#have = b.length - at;
    this.#parts = this.#have ? [b.subarray(at)] : [];
  }

  #end() {
    if (this.handle && this.#have) this.onBreach(new Breach(13, 'the connection ends within a frame'));
    this.flush();
    this.socket.end();
  }

  #close() {
    if (this.closed) return;
    this.closed = true;
    this.#resolve?.reject(this.error ?? new Error('the connection was closed'));
    this.onClose(this.error);
  }

  // finish writes what waits, and then closes; violation goes ahead of it (R15). Reading goes on
  // meanwhile, since closing with unread bytes would lose what was written.
  finish(violation = null) {
    if (violation) this.#batch = [violation];
    this.flush();
    this.socket.end();
    this.handle &&= () => {};
    this.check = () => {};
    setTimeout(() => this.destroy(), 1000).unref();
  }

  destroy(err = null) {
    this.error ??= err;
    this.socket.destroy();
    this.#close();
  }
}

// split takes an address apart: host:port, [::1]:port.
export function split(addr) {
  const at = addr.lastIndexOf(':');
  return { host: addr.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(addr.slice(at + 1)) };
}

export const join = (host, port) => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`);

// dial connects, checks what the other side proves (R100), and sends the hello. It returns the
// connection once the answer is OK, and throws a Refusal if it is another one.
export async function dial(addr, hello, { security, alpn, check, timeout = 5000 }) {
  const { host, port } = split(addr);
  const socket = security ? tls.connect({ host, port, ALPNProtocols: [alpn], ...security.dialOptions() }) : net.connect({ host, port, allowHalfOpen: true });
  const conn = new Conn(socket);
  const timer = setTimeout(() => conn.destroy(new Error(`${addr} did not answer within ${timeout} ms`)), timeout);
  try {
    await new Promise((resolve, reject) => {
      socket.once(security ? 'secureConnect' : 'connect', resolve);
      conn.onClose = (err) => reject(err ?? new Error('the connection was closed'));
    });
    conn.onClose = () => {};
    if (security) check((conn.proof = security.proofOf(socket)));
    conn.write(hello);
    const first = await conn.read(8);
    if (first.toString('latin1', 0, 4) !== 'RDHT' || first.readUInt16BE(6) > 1024) throw new Error(`${addr} does not speak this protocol`);
    const rest = await conn.read(first.readUInt16BE(6));
    if (first[5] !== Status.ok) throw new Refusal(first[5], `${addr}: ${JSON.stringify(rest.toString('utf8', 8))}`);
    if (first[4] !== 2) throw new Refusal(Status.version, `${addr} speaks version ${first[4]}`);
    return conn;
  } catch (err) {
    conn.destroy();
    throw err;
  } finally {
    clearTimeout(timer);
  }
}

// listen accepts connections. judge takes a hello with its proof, and returns (a promise of) a token
// for the answer, or throws a Refusal. taken gets each link.
export function listen({ host, port, security, judge, taken }) {
  const inner = security && tls.createServer({ ...security.serverOptions(), allowHalfOpen: true, handshakeTimeout: 5000 });
  const welcome = (conn) => {
    const timer = setTimeout(() => conn.destroy(), 5000);
    greet(conn, judge).then((hello) => { if (hello) taken(conn, hello); }, () => conn.destroy()).finally(() => clearTimeout(timer));
  };
  inner?.on('secureConnection', (socket) => {
    const proof = security.proofOf(socket);
    if (!socket.alpnProtocol || socket.isSessionReused()) socket.destroy();
    else welcome(new Conn(socket, proof));
  });
  inner?.on('tlsClientError', (_, socket) => socket.destroy());
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    if (!security) return welcome(new Conn(socket));
    socket.on('error', () => {});
    peek(socket).then(async (head) => {
      if (head[0] !== 0x16) return welcome(new Conn(socket));
      // The name of the ALPN is in clear. A probe is answered at once; a link waits for the admission.
      if (!head.includes('rdht-probe/2')) await security.admitted();
      inner.setSecureContext(security.serverOptions());
      inner.emit('connection', socket);
    }).catch(() => socket.destroy());
  });
  server.maxConnections = 4096;
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => resolve(server));
  });
}

// peek waits for the first record of TLS, or the first byte of something else, and leaves it unread.
function peek(socket) {
  return new Promise((resolve, reject) => {
    let head = Buffer.alloc(0);
    const timer = setTimeout(() => reject(new Error('silent')), 5000);
    const done = () => {
      clearTimeout(timer);
      socket.removeListener('readable', more);
      socket.unshift(head);
      resolve(head);
    };
    const more = () => {
      for (let b; (b = socket.read()); ) head = Buffer.concat([head, b]);
      if (head.length && (head[0] !== 0x16 || (head.length >= 5 && head.length >= 5 + head.readUInt16BE(3)))) done();
    };
    socket.on('readable', more);
    socket.once('close', () => reject(new Error('closed')));
  });
}

const HTTP = 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nThis port is for nodes of a ring, not for HTTP.\n';

// greet reads a hello and answers it (R3). It returns the hello of a link that is accepted.
async function greet(conn, judge) {
  const first = await conn.read(8);
  if (/^(GET|HEAD|POST|PUT|OPTI)/.test(first.toString('latin1'))) return conn.finish(Buffer.from(HTTP));
  if (first[0] === 0x16 && first[1] === 3) return conn.finish(answer(Status.ring, 0n, 'this ring is open: join it without TLS'));
  const length = first.readUInt16BE(6);
  if (first.toString('latin1', 0, 4) !== 'RDHT') return conn.destroy();
  if (length > 1024) return first[4] === 2 ? conn.destroy() : conn.finish(answer(Status.version, 0n, 'this node speaks version 2'));
  const hello = parseHello(first, await conn.read(length));
  if (!hello) return conn.destroy();
  try {
    if (!hello.version) throw new Refusal(Status.version, 'this node speaks version 2');
    const token = await judge(hello, conn.proof);
    conn.write(answer(Status.ok, token));
    if (hello.role === Role.link) return hello;
    conn.finish();
  } catch (err) {
    if (!(err instanceof Refusal)) throw err;
    conn.finish(answer(err.status, 0n, err.text));
  }
}
