// The receiving side of a stream (section 10). Like a source it does no I/O, and counts from the
// stream's first message.
import crypto from 'node:crypto';
import { newer } from './source.mjs';
import { BUNDLE, Type, unbundle } from './wire.mjs';

const NEAR = 1048576; // numbers farther away are of another stream

export class Sink {
  constructor(host, { from, port, inc, gen, handler, service }) {
    Object.assign(this, { host, from, port, inc, gen, handler, service, done: 0, next: 0, round: 0, asked: 0, owes: false, cut: null });
    do this.first = crypto.randomBytes(8).readBigUInt64BE() >> 1n; while (this.first < 1n || this.first > 1n << 62n);
    this.queue = []; // received in order: { port, body, hops, bytes }
    this.held = new Map(); // frames behind a hole, by number
    this.bytes = 0; // of both
    Object.assign(this, { limit: host.grant(), handled: 0, busy: false, seen: host.now(), looked: 0, said: 0, left: false });
  }

  at(seq) { return Number(seq - this.first); }
  #stranger(at) { return at < 0 || at < this.done - NEAR || at > this.next + NEAR; }
  #tell(type, seq, body, flags = 0) { this.host.tell(type, { dst: this.from, port: this.port, seq, body, flags }); }

  #grant() {
    const w = this.cut === null ? this.host.grant() : 0;
    this.limit = Math.max(this.limit, w);
    return w;
  }

  opened() {
    const body = Buffer.alloc(28);
    body.writeBigUInt64BE(this.inc, 0);
    body.writeBigUInt64BE(this.host.inc, 8);
    body.writeBigUInt64BE(this.first, 16);
    body.writeUInt32BE(this.#grant(), 24);
    this.#tell(Type.Opened, this.gen, body, BUNDLE);
  }

  #take(n) {
    this.bytes += n;
    this.host.backlog += n;
  }

  data(f, hops) {
    this.seen = this.host.now();
    const messages = unbundle(f);
    const at = this.at(f.readBigUInt64BE(24));
    if (!messages) return this.host.drop('malformed', f, hops);
    if (this.cut !== null && at >= this.cut) {
      if (this.done === this.cut) this.#farewell();
      return this.host.drop('stale', f, hops);
    }
    if (at < this.next) return this.host.drop(at + messages.length <= this.next && at >= 0 ? 'duplicates' : 'stale', f, hops);
    if (at > this.next) return this.#hold(at, f, hops, messages.length);
    if (!this.#room(f.length) && this.held.size) this.giveUp();
    if (!this.#room(f.length) && this.queue.length) return this.host.drop('full', f, hops);
    this.#append(f, messages, hops);
    for (let h; (h = this.held.get(this.next)); ) {
      this.held.delete(this.next);
      this.#take(-h.f.length);
      this.#append(h.f, unbundle(h.f), h.hops);
    }
    this.deliver();
  }

  #room(n) { return this.bytes + n <= this.limit && this.host.backlog + n <= this.host.maxBacklog; }

  #append(f, messages, hops) {
    this.#take(f.length);
    this.next += messages.length;
    const keep = this.busy || f[6] < 128; // then a copy: f is a part of what was read
    messages.forEach((body, i) => this.queue.push({ port: f[6], body: keep ? Buffer.from(body) : body, hops, bytes: i === messages.length - 1 ? f.length : 0 }));
  }

  #hold(at, f, hops, count) {
    const room = this.held.size < 65536 && f.length <= (this.limit - this.bytes) / 2 && this.#room(f.length);
    if (at >= this.next + NEAR) return this.host.drop('stale', f, hops);
    if (!room || this.held.has(at)) return this.host.drop(room ? 'duplicates' : 'full', f, hops);
    this.held.set(at, { f: Buffer.from(f), hops, count });
    this.#take(f.length);
    if (this.held.size === 1) this.ack();
  }

  #discard(n, h) {
    this.held.delete(n);
    this.#take(-h.f.length);
    this.host.drop('stale', h.f, h.hops);
  }

  // purge gives up frames of which a part has come in another one. No honest source sends that.
  #purge() { for (const [n, h] of this.held) if (n < this.next) this.#discard(n, h); }
  giveUp() { for (const [n, h] of this.held) this.#discard(n, h); }

  // deliver hands over what is received, one message at a time and in order.
  deliver() {
    while (!this.busy && this.queue.length && !this.host.paused && !this.host.over) {
      const m = this.queue.shift();
      const work = this.host.deliver(this, m);
      if (work) {
        this.busy = true;
        work.then(() => {
          this.busy = false;
          this.#done(m);
          this.deliver();
        });
      } else this.#done(m);
    }
    if (!this.busy && !this.queue.length) this.drained?.();
    if ((this.owes && this.done >= this.asked) || this.handled >= this.#grant() / 4) this.ack();
    if (this.cut !== null && this.done === this.cut && !this.said) this.#farewell();
  }

  #done(m) {
    this.done++;
    this.handled += m.bytes;
    this.#take(-m.bytes);
  }

  ack() {
    if (this.host.over || this.drained) return; // another stream has taken its place
    if (this.cut !== null && this.done === this.cut) return this.#farewell();
    this.#purge();
    const ranges = [];
    for (const n of [...this.held.keys()].sort((a, b) => a - b)) {
      const [last, count] = [ranges.at(-1), this.held.get(n).count];
      if (last && n <= last.to) last.to = Math.max(last.to, n + count);
      else if (ranges.length < 32) ranges.push({ from: n, to: n + count });
    }
    const body = Buffer.alloc(12 + 8 * ranges.length);
    body.writeUInt32BE(this.next - this.done, 0);
    body.writeUInt32BE(this.#grant(), 4);
    body.writeUInt32BE(this.round, 8);
    ranges.forEach(({ from, to }, i) => {
      body.writeUInt32BE(from - this.next, 12 + 8 * i);
      body.writeUInt32BE(to - from, 16 + 8 * i);
    });
    this.handled = 0;
    if (this.done >= this.asked) this.owes = false;
    this.#tell(Type.Ack, this.first + BigInt(this.done), body);
  }

  sync(seq, round) {
    this.seen = this.host.now();
    const at = this.at(seq);
    if (this.#stranger(at)) return this.#tell(Type.Reset, seq);
    if (newer(round, this.round)) this.round = round;
    this.asked = Math.max(this.asked, at);
    this.owes = this.done < this.asked;
    this.ack();
  }

  // close answers a Close, and says whether the sink is to be forgotten.
  close(seq) {
    this.seen = this.host.now();
    const at = this.at(seq);
    this.#purge();
    const whole = at === this.next && this.done === this.next && !this.held.size;
    if (whole || this.#stranger(at)) this.#tell(Type.Closed, seq);
    else this.ack();
    return whole;
  }

  // leave takes no new message (10.9). It says Farewell when all that came before is handled.
  leave() {
    this.cut ??= this.next;
    this.giveUp();
    this.deliver();
  }

  #farewell() {
    this.said = this.host.now();
    this.#tell(Type.Farewell, this.first + BigInt(this.cut));
  }

  // tick gives up what is held behind a hole that stays, and repeats a Farewell.
  tick() {
    if (this.looked === this.next) this.giveUp();
    this.looked = this.next;
    if (this.said) this.#farewell();
  }

  // replace ends a sink for a new stream of its source: what it has received is handled first.
  replace(sink) {
    this.giveUp();
    if (this.service !== sink.service || (!this.busy && !this.queue.length)) return;
    sink.busy = true;
    this.drained = () => {
      sink.busy = false;
      sink.deliver();
    };
  }
}
