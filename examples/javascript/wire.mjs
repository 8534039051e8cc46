// The bytes of PROTOCOL.md: the handshake (section 2), frames (3 and 8), control messages (5).
import * as msgpack from './msgpack.mjs';

export const VERSION = 2;
export const Role = { member: 1, link: 2, probe: 3 };
export const Status = { ok: 0, version: 1, ring: 2, codec: 3, identity: 4, role: 5, notAdmitted: 6, expired: 7, expelled: 8 };
export const MAX_INC = 3n << 61n; // greater incarnations make no sense

// Breach is a rule of PROTOCOL.md that the other side has broken. It ends the connection.
export class Breach extends Error {
  constructor(rule, text) {
    super(`R${rule}: ${text}`);
    this.rule = rule;
  }
}

// hello returns what the dialling side begins with.
export function hello({ role, from = {}, to = {}, token = 0n, ring }) {
  const names = Buffer.concat(['msgpack', ring].map((s) => Buffer.concat([Buffer.of(Buffer.byteLength(s)), Buffer.from(s)])));
  const b = Buffer.alloc(49 + names.length);
  b.write('RDHT');
  b[4] = VERSION;
  b[5] = role;
  b.writeUInt16BE(b.length - 8, 6);
  [from.id, from.inc, to.id, to.inc, token].forEach((n, i) => b.writeBigUInt64BE(n ?? 0n, 8 + 8 * i));
  b[48] = VERSION;
  names.copy(b, 49);
  return b;
}

// parseHello takes the first 8 bytes and those that follow. It returns null if they are no hello.
// Of a version that this side does not speak it returns that alone.
export function parseHello(first, rest) {
  const [version, lowest] = [first[4], rest[40]];
  if (version < VERSION) return { version: false };
  if (rest.length < 43) return null;
  if (lowest > VERSION && lowest <= version) return { version: false };
  const u = (at) => rest.readBigUInt64BE(at - 8);
  let at = 41;
  const name = () => {
    if (at >= rest.length || at + 1 + rest[at] > rest.length) return null;
    const text = rest.toString('utf8', at + 1, at + 1 + rest[at]);
    at += 1 + rest[at];
    return text;
  };
  const [codec, ring] = [name(), name()];
  if (codec === null || ring === null) return null;
  return { version: true, role: first[5], from: { id: u(8), inc: u(16) }, to: { id: u(24), inc: u(32) }, token: u(40), codec, ring };
}

export function answer(status, token = 0n, reason = '') {
  const text = Buffer.from(reason);
  const b = Buffer.alloc(16 + text.length);
  b.write('RDHT');
  b[4] = VERSION;
  b[5] = status;
  b.writeUInt16BE(8 + text.length, 6);
  b.writeBigUInt64BE(token, 8);
  text.copy(b, 16);
  return b;
}

export const Type = {
  Open: 1, Opened: 2, Refuse: 3, Data: 4, Sync: 5, Ack: 6, Reset: 7, Close: 8, Closed: 9, Cast: 10, Trace: 11, Traced: 12, NoRoute: 13,
  Ping: 14, Pong: 15, Share: 16, Shared: 17, End: 18, Farewell: 19, Violated: 20,
};
export const HEADER = 32;
export const DETOUR = 1; // flag: the frame takes a detour
export const BUNDLE = 2; // flag: Data is a bundle; in Opened: the sink takes bundles

// frame returns a routed frame, or one of a link.
export function frame(type, { dst = 0n, src = 0n, seq = 0n, port = 0, flags = 0, body = null }) {
  const b = Buffer.allocUnsafe(HEADER + (body ? body.length : 0));
  b.writeUInt32BE(type * 0x1000000 + b.length - 4, 0);
  b.writeUInt32BE((port << 8) | flags, 4); // hops are 0
  b.writeBigUInt64BE(dst, 8);
  b.writeBigUInt64BE(src, 16);
  b.writeBigUInt64BE(seq, 24);
  if (body) body.copy(b, HEADER);
  return b;
}

export const isLinkFrame = (type) => (type >= Type.Ping && type <= Type.End) || type === Type.Violated || (type >= 0x30 && type < 0x40);

// bodies are the lengths of the bodies of routed frames (R68). Others have any.
const bodies = { 2: 28, 3: 17, 5: 4, 12: 3, 13: 10 };

// wellFormed says whether a frame has the body that its type has.
export function wellFormed(f) {
  const n = f.length - HEADER;
  if (f[0] === Type.Open) return f[6] ? n > 8 && n <= 72 : n === 8; // the name of a service has 1 to 64 bytes
  if (f[0] === Type.Ack) return n >= 12 && n <= 12 + 32 * 8 && (n - 12) % 8 === 0;
  return bodies[f[0]] === undefined || bodies[f[0]] === n;
}

// messagesOf counts the messages of a Data frame, as a relay does.
export function messagesOf(f) {
  if (!(f[7] & BUNDLE) || f.length < 34) return 1;
  const n = f.readUInt16BE(HEADER);
  return n > 0 && f.length >= 34 + 2 * n ? n : 1;
}

// bundle joins messages to the body of a bundle.
export function bundle(messages) {
  const b = Buffer.allocUnsafe(messages.reduce((n, m) => n + 2 + m.length, 2));
  let at = b.writeUInt16BE(messages.length, 0);
  for (const m of messages) {
    at = b.writeUInt16BE(m.length, at);
    at += m.copy(b, at);
  }
  return b;
}

// unbundle returns the messages of a Data frame, or null if its bundle is not well formed.
export function unbundle(f) {
  if (!(f[7] & BUNDLE)) return [f.subarray(HEADER)];
  if (f.length < 36) return null;
  const count = f.readUInt16BE(HEADER);
  const messages = [];
  let at = 34;
  while (messages.length < count) {
    if (at + 2 > f.length) return null;
    const end = at + 2 + f.readUInt16BE(at);
    if (end > f.length) return null;
    messages.push(f.subarray(at + 2, end));
    at = end;
  }
  return at === f.length && count > 0 ? messages : null;
}

// The records and control messages, in the notation of section 5.1: u is a BigInt, i a Number.
const records = {
  peer: 'id u, inc u, addr s', ref: 'id u, inc u', slot: 'at i, id u, inc u, addr s', detour: 'to u, id u, inc u, addr s',
};
const NODE = { Register: 0x40, Deregister: 0x43, Linked: 0x46, Beat: 0x48, Finished: 0x4b, Summary: 0x4d, Pairs: 0x4f, Traced: 0x51, Trouble: 0x55, Violation: 0x59 };
const REGISTRY = {
  0x41: ['Registered', 'id u, inc u, members i, bits i, max_payload i, hop_limit i, lease_ms i, identity s, epoch u, admission s, time_ms i'],
  0x42: ['Refused', 'code u, reason s'],
  0x44: ['Deregistered', 'id u'],
  0x45: ['Manifest', 'identity s, epoch u, inc u, size i, plan i, members i, entries [peer], successors [peer], detours [detour], hold [peer] 4096, stubs [peer], others [u], incs [u], idle [u]'],
  0x47: ['Ready', 'epoch u'],
  0x49: ['BeatAnswer', 'every i'],
  0x4a: ['Task', 'run u, messages i, payload i'],
  0x4c: ['Collect', 'run u'],
  0x4e: ['Explain', 'run u'],
  0x50: ['Trace', 'ask u, to u'],
  0x52: ['Bye', 'reason s'],
  0x53: ['Update', 'epoch u, members i, entries i, slots [slot], new_successors b, successors [peer], new_detours b, detours [detour], hold [peer] 4096, new_stubs b, stubs [peer], gone [ref] 131072, sigs [s] 131072'],
  0x54: ['Announce', 'epoch u, members i, added [u], incs [u], idle [u], left [ref] 131072, gone [ref] 131072, sigs [s] 131072'],
  0x56: ['Ping', ''],
  0x57: ['Admission', 'admission s, time_ms i'],
  0x58: ['Trust', 'ring u, keys [s] 4, revoked [s], time_ms i'],
  0x59: ['Violation', 'code u, rule s, text s'],
};
const parsed = new Map();
const fieldsOf = (text) => parsed.get(text) ?? parsed.set(text, text.split(', ').filter(Boolean).map((f) => f.split(' '))).get(text);

function convert(kind, v, most = 1024) {
  if (kind[0] === '[') {
    const list = v ?? [];
    if (!Array.isArray(list) || list.length > most) throw new Error('no list, or too long');
    return list.map((x) => convert(kind.slice(1, -1), x));
  }
  if (records[kind]) return struct(records[kind], v ?? {});
  if (v === null || v === undefined) return { u: 0n, i: 0, s: '', b: false }[kind];
  const integer = typeof v === 'bigint' || Number.isInteger(v);
  if (kind === 'u' && integer && v >= 0) return BigInt(v);
  if (kind === 'i' && integer && BigInt.asIntN(64, BigInt(v)) === BigInt(v)) return Number(v);
  if ((kind === 's' && typeof v === 'string') || (kind === 'b' && typeof v === 'boolean')) return v;
  throw new Error(`${v} is no ${kind}`);
}

function struct(fields, v) {
  if (typeof v !== 'object' || Array.isArray(v) || v instanceof Uint8Array) throw new Error('no map of fields');
  return Object.fromEntries(fieldsOf(fields).map(([name, kind, most]) => {
    try {
      return [name, convert(kind, v[name], most)];
    } catch (err) {
      throw new Error(`${name}: ${err.message}`);
    }
  }));
}

// control returns the frame of a control message from this node.
export function control(name, fields) {
  const body = msgpack.encode(fields);
  const head = Buffer.alloc(4);
  head.writeUInt32BE(NODE[name] * 0x1000000 + body.length);
  return Buffer.concat([head, body]);
}

// checkControl looks at the first 4 bytes of a frame from a registry, before room is made for the rest.
export function checkControl(type, length, registered) {
  if (type >= 0x80 && type < 0xc0 && registered) return;
  if (Object.entries(NODE).some(([name, t]) => t === type && name !== 'Violation') || type === 0x5a) throw new Breach(31, `type 0x${type.toString(16)} is a node's`);
  if (!REGISTRY[type]) throw new Breach(10, `a frame of type 0x${type.toString(16)}`);
  if (length > 16777215) throw new Breach(11, 'the frame is too long');
}

// parseControl returns the name and fields of a control message, or null for an extension.
export function parseControl(f) {
  if (f[0] >= 0x80) return null;
  const [name, fields] = REGISTRY[f[0]];
  let raw = {};
  try {
    raw = msgpack.decode(f.subarray(4));
    return { name, ...struct(fields, raw) };
  } catch (err) {
    const run = raw?.run;
    if (name === 'Task' && (typeof run === 'bigint' || Number.isInteger(run)) && run >= 0) return { name, run: BigInt(run), error: err.message };
    throw new Breach(30, `${name} does not decode: ${err.message}`);
  }
}
