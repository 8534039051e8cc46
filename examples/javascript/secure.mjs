// What a secure ring adds (section 16): join lines, certificates, admissions, and what a node trusts.
import crypto from 'node:crypto';
import { Refusal } from './conn.mjs';
import { Breach, Status } from './wire.mjs';

const sha256 = (...parts) => parts.reduce((h, p) => h.update(p), crypto.createHash('sha256')).digest();
const publicKey = (raw) => crypto.createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: raw.toString('base64url') }, format: 'jwk' });
const rawKey = (key) => Buffer.from(key.export({ format: 'jwk' }).x, 'base64url');

// signed says whether the last 64 bytes are a signature of all before them, by one of the keys.
const signed = (bytes, keys) => keys.some((k) => crypto.verify(null, bytes.subarray(0, -64), publicKey(k), bytes.subarray(-64)));
const includes = (keys, key) => keys.some((k) => k.equals(key));

export const isJoinLine = (text) => text.startsWith('rdht1:');

// parseJoinLine takes a join line apart. Its errors do not show the line: it has the secret.
export function parseJoinLine(line) {
  const m = /^rdht1:(.+:\d+)\/([a-z2-7]+)-([a-z2-7]+)$/.exec(line);
  if (!m || line.length > 512) throw new Error('this is no join line: it looks like rdht1:HOST:PORT/PIN-SECRET');
  const [pin, secret] = [base32(m[2]), base32(m[3])];
  if (pin.length !== 16 || secret.length !== 18 || !sha256(pin, secret.subarray(0, 16)).subarray(0, 2).equals(secret.subarray(16))) {
    throw new Error('the join line has a slip in it: copy it again');
  }
  return { addr: m[1], pin, secret: secret.subarray(0, 16) };
}

function base32(text) {
  const bits = [...text].map((c) => 'abcdefghijklmnopqrstuvwxyz234567'.indexOf(c).toString(2).padStart(5, '0')).join('');
  return Buffer.from(bits.match(/.{8}/g)?.map((b) => parseInt(b, 2)) ?? []);
}

// DER, as far as a self-signed certificate needs it.
const der = (tag, ...parts) => {
  const body = Buffer.concat(parts);
  const n = body.length;
  return Buffer.concat([Buffer.of(tag, ...(n < 128 ? [n] : n < 256 ? [0x81, n] : [0x82, n >> 8, n & 255])), body]);
};
const ED25519 = der(0x30, der(6, Buffer.of(0x2b, 0x65, 0x70)));
const OWN = Buffer.of(0x2b, 6, 1, 3, 0x81, 0xe2, 0x49); // 1.3.6.1.3.29001
const ADMISSION = Buffer.concat([OWN, Buffer.of(1)]);
const SUCCESSION = Buffer.concat([OWN, Buffer.of(2)]);

// certificate returns a self-signed certificate, in PEM, with the admission as an extension.
function certificate({ publicKey, privateKey }, admission) {
  const name = der(0x30, der(0x31, der(0x30, der(6, Buffer.of(0x55, 4, 3)), der(12, Buffer.from('ringdht')))));
  const validity = der(0x30, der(0x18, Buffer.from('20000101000000Z')), der(0x18, Buffer.from('99991231235959Z')));
  const extensions = admission ? [der(0xa3, der(0x30, der(0x30, der(6, ADMISSION), der(4, admission))))] : [];
  const body = der(0x30, der(0xa0, der(2, Buffer.of(2))), der(2, Buffer.of(1)), ED25519, name, validity, name,
    publicKey.export({ type: 'spki', format: 'der' }), ...extensions);
  const all = der(0x30, body, ED25519, der(3, Buffer.of(0), crypto.sign(null, body, privateKey)));
  return `-----BEGIN CERTIFICATE-----\n${all.toString('base64').match(/.{1,64}/g).join('\n')}\n-----END CERTIFICATE-----\n`;
}

// children returns the values within one value of DER.
function children(b) {
  const out = [];
  for (let at = 0; at + 2 <= b.length; ) {
    const long = b[at + 1] & 0x80 ? b[at + 1] & 0x7f : 0;
    if (long > 3 || at + 2 + long > b.length) throw new Error('bad DER');
    const start = at + 2 + long;
    const end = start + (long ? b.readUIntBE(at + 2, long) : b[at + 1]);
    if (end > b.length) throw new Error('bad DER');
    out.push({ tag: b[at], body: b.subarray(start, end) });
    at = end;
  }
  return out;
}

// extension returns the value of an extension of a certificate, or null.
function extension(raw, oid) {
  const parts = children(children(children(raw)[0].body)[0].body);
  const list = parts.find((p) => p.tag === 0xa3);
  for (const e of list ? children(children(list.body)[0].body) : []) {
    const [id, ...rest] = children(e.body);
    if (id.body.equals(oid)) return rest.at(-1).body;
  }
  return null;
}

// Security is the key of this process, and what it believes of its ring.
export class Security {
  #line;
  #keys = crypto.generateKeyPairSync('ed25519');
  #waiting = [];

  constructor(line) {
    this.#line = parseJoinLine(line);
    this.addr = this.#line.addr;
    this.key = rawKey(this.#keys.publicKey);
    this.token = sha256(this.key).readBigUInt64BE(0); // the registry makes the same of the key
    Object.assign(this, { ring: null, trusted: [], revoked: [], admission: null, clock: 0 });
    this.#renew(null);
  }

  #renew(admission) {
    this.admission = admission;
    this.cert = certificate(this.#keys, admission?.bytes);
    if (admission) this.#waiting.splice(0).forEach((resolve) => resolve());
  }

  // admitted waits until there is an admission to present, for at most a second.
  admitted() {
    return this.admission ? null : new Promise((resolve) => this.#waiting.push(resolve) && setTimeout(resolve, 1000));
  }

  now() { return Date.now() + this.clock; } // the registry's time
  #pem() { return { key: this.#keys.privateKey.export({ type: 'pkcs8', format: 'pem' }), cert: this.cert, minVersion: 'TLSv1.3' }; }
  dialOptions() { return { ...this.#pem(), rejectUnauthorized: false, checkServerIdentity: () => undefined }; }
  serverOptions() { return { ...this.#pem(), requestCert: true, rejectUnauthorized: false, ALPNProtocols: ['rdht/2', 'rdht-probe/2'] }; }

  // proofOf is what the other side has proven by TLS, or null.
  proofOf(socket) {
    const cert = socket.getPeerX509Certificate();
    if (cert?.publicKey.asymmetricKeyType !== 'ed25519' || cert.issuerCertificate) return null; // exactly one
    try {
      return {
        key: rawKey(cert.publicKey), alpn: socket.alpnProtocol,
        admission: extension(cert.raw, ADMISSION), succession: extension(cert.raw, SUCCESSION),
      };
    } catch {
      return null;
    }
  }

  // isRegistry says whether a key is the ring's (R101): trusted, or signed by a trusted one.
  isRegistry(proof) {
    if (!proof) return false;
    const believed = (key) => (this.trusted.length ? includes(this.trusted, key) : sha256(key).subarray(0, 16).equals(this.#line.pin));
    if (believed(proof.key)) return true;
    const s = proof.succession;
    if (s?.length !== 157 || s.toString('latin1', 0, 13) !== 'ringdht key 1' || !s.subarray(53, 85).equals(proof.key)) return false;
    if (this.ring !== null && s.readBigUInt64BE(13) !== this.ring) return false;
    return believed(s.subarray(21, 53)) && signed(s, [s.subarray(21, 53)]);
  }

  checkRegistry(proof) {
    if (!this.isRegistry(proof)) throw new Error('the registry does not have the key that the join line names');
  }

  // member returns the admission of a proof (R102), or throws the Refusal that says what is wrong.
  member(proof) {
    if (!proof?.admission) throw new Refusal(Status.notAdmitted, 'no admission');
    return this.#check(proof.admission, proof.key, this.trusted);
  }

  #check(b, key, keys) {
    const no = (status, text) => { throw new Refusal(status, `the admission ${text}`); };
    if (b.length !== 161 || b.toString('latin1', 0, 19) !== 'ringdht admission 1') no(Status.notAdmitted, 'has another form');
    const a = { bytes: b, ring: b.readBigUInt64BE(19), id: b.readBigUInt64BE(27), inc: b.readBigUInt64BE(35), until: b.readBigUInt64BE(57), key: b.subarray(65, 97) };
    if (this.ring !== null && a.ring !== this.ring) no(Status.notAdmitted, 'is of another ring');
    if (!signed(b, keys)) no(Status.notAdmitted, 'is not signed by the ring');
    if (includes(this.revoked, a.key)) no(Status.expelled, 'was revoked');
    if (a.until < BigInt(this.now())) no(Status.expired, 'has expired');
    if (!a.key.equals(key)) no(Status.notAdmitted, 'is of another key');
    return a;
  }

  // proof proves the secret of the join line over one connection (16.3).
  proof(socket) {
    const exporter = socket.exportKeyingMaterial(32, 'EXPORTER-ringdht-join');
    return crypto.createHmac('sha256', this.#line.secret).update('ringdht join 1').update(exporter).update(this.key).digest('base64url');
  }

  // admit takes an admission that the registry gives (R106).
  admit({ admission, time_ms: time }, { id, inc }, registry) {
    const was = this.clock;
    this.clock = time - Date.now();
    let a;
    try {
      a = this.#check(Buffer.from(admission, 'base64url'), this.key, [...this.trusted, registry]);
      if (a.id !== id || a.inc !== inc) throw new Error('the admission is of another life');
    } catch (err) {
      this.clock = was;
      throw new Breach(106, err.message);
    }
    this.ring ??= a.ring;
    if (!this.admission || this.admission.inc !== inc || a.until >= this.admission.until) this.#renew(a);
  }

  expired() { return this.admission !== null && this.admission.until < BigInt(this.now()); }

  // trust takes what the registry says is to be believed from now on (16.5).
  trust({ ring, keys, revoked, time_ms: time }) {
    const raw = [keys, revoked].map((list) => list.map((k) => Buffer.from(k, 'base64url')));
    if (ring !== this.ring || !keys.length || raw.flat().some((k) => k.length !== 32)) throw new Breach(106, 'this Trust is of another ring, or has no keys');
    [this.trusted, this.revoked] = raw;
    this.clock = time - Date.now();
  }

  isRevoked(key) { return includes(this.revoked, key); }
}
