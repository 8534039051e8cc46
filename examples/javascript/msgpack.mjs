// MessagePack, as far as control messages and message bodies need it. An integer becomes a Number
// if that is exact, else a BigInt: JSON.parse would round incarnations and tokens without a word.

// encode returns the bytes of a value: null, boolean, integer, float, string, Uint8Array, array, or object.
export function encode(value) {
  const parts = [];
  write(parts, value);
  return Buffer.concat(parts);
}

function write(parts, v) {
  if (v === null || v === undefined) parts.push(Buffer.of(0xc0));
  else if (typeof v === 'boolean') parts.push(Buffer.of(v ? 0xc3 : 0xc2));
  else if (typeof v === 'bigint' || Number.isSafeInteger(v)) parts.push(integer(v));
  else if (typeof v === 'number') {
    const b = Buffer.alloc(9, 0xcb);
    b.writeDoubleBE(v, 1);
    parts.push(b);
  } else if (typeof v === 'string') {
    const text = Buffer.from(v);
    parts.push(head(text.length, [0xa0, 32], 0xd9, 0xda, 0xdb), text);
  } else if (v instanceof Uint8Array) parts.push(head(v.length, null, 0xc4, 0xc5, 0xc6), v);
  else if (Array.isArray(v)) {
    parts.push(head(v.length, [0x90, 16], null, 0xdc, 0xdd));
    for (const x of v) write(parts, x);
  } else {
    const entries = Object.entries(v);
    parts.push(head(entries.length, [0x80, 16], null, 0xde, 0xdf));
    for (const [name, x] of entries) {
      write(parts, name);
      write(parts, x);
    }
  }
}

function integer(v) {
  if (v >= 0 && v < 128) return Buffer.of(Number(v));
  const b = Buffer.alloc(9);
  b[0] = v < 0 ? 0xd3 : 0xcf;
  if (v < 0) b.writeBigInt64BE(BigInt(v), 1);
  else b.writeBigUInt64BE(BigInt(v), 1);
  return b;
}

// head is the type and length of a value, in the shortest of the forms that its type has.
function head(n, fix, one, two, four) {
  if (fix && n < fix[1]) return Buffer.of(fix[0] | n);
  if (one && n < 256) return Buffer.of(one, n);
  if (n < 65536) return Buffer.of(two, n >> 8, n & 255);
  const b = Buffer.alloc(5, four);
  b.writeUInt32BE(n, 1);
  return b;
}

// decode returns the value of bytes. It throws if bytes are missing or left over, or if a list is
// longer than most: that is found before room is made.
export function decode(bytes, most = 131072) {
  const r = { b: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length), at: 0, most, depth: 0 };
  const v = read(r);
  if (r.at !== r.b.length) throw new Error('bytes after the value');
  return v;
}

function take(r, n) {
  if (r.b.length - r.at < n) throw new Error('the value is cut off');
  r.at += n;
  return r.at - n;
}

const whole = (big) => (big >= Number.MIN_SAFE_INTEGER && big <= Number.MAX_SAFE_INTEGER ? Number(big) : big);
const string = (r, n) => r.b.toString('utf8', take(r, n), r.at);
const binary = (r, n) => Buffer.from(r.b.subarray(take(r, n), r.at));
const uint = (r, size) => r.b.readUIntBE(take(r, size), size);

function list(r, n) {
  if (n > r.most) throw new Error(`a list of ${n} is longer than ${r.most}`);
  return Array.from({ length: n }, () => read(r));
}

function map(r, n) {
  if (n > r.most) throw new Error(`a map of ${n} is larger than ${r.most}`);
  const out = Object.create(null); // a name like __proto__ is a name
  for (let i = 0; i < n; i++) out[String(read(r))] = read(r);
  return out;
}

function read(r) {
  if (r.depth === 16) throw new Error('lists within lists, too deep');
  r.depth++;
  const v = readType(r, r.b[take(r, 1)]);
  r.depth--;
  return v;
}

function readType(r, t) {
  if (t < 0x80) return t;
  if (t < 0x90) return map(r, t & 15);
  if (t < 0xa0) return list(r, t & 15);
  if (t < 0xc0) return string(r, t & 31);
  if (t >= 0xe0) return t - 256;
  switch (t) {
    case 0xc0: return null;
    case 0xc2: return false;
    case 0xc3: return true;
    case 0xc4: case 0xc5: case 0xc6: return binary(r, uint(r, 1 << (t - 0xc4)));
    case 0xca: return r.b.readFloatBE(take(r, 4));
    case 0xcb: return r.b.readDoubleBE(take(r, 8));
    case 0xcc: case 0xcd: case 0xce: return uint(r, 1 << (t - 0xcc));
    case 0xcf: return whole(r.b.readBigUInt64BE(take(r, 8)));
    case 0xd0: case 0xd1: case 0xd2: return r.b.readIntBE(take(r, 1 << (t - 0xd0)), 1 << (t - 0xd0));
    case 0xd3: return whole(r.b.readBigInt64BE(take(r, 8)));
    case 0xd9: case 0xda: case 0xdb: return string(r, uint(r, 1 << (t - 0xd9)));
    case 0xdc: case 0xdd: return list(r, uint(r, 2 << (t - 0xdc)));
    case 0xde: case 0xdf: return map(r, uint(r, 2 << (t - 0xde)));
  }
  throw new Error(`a value of type 0x${t.toString(16)}`);
}
