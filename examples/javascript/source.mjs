// The sending side of a stream (section 10). It does no I/O: the host, a Life, sends the frames that it
// gives, and has the clock. Messages are counted from the stream's first one, so that their numbers
// are Numbers; on the wire they are u64.
import { BUNDLE, HEADER, Type, bundle, unbundle } from './wire.mjs';

const READY = 32768; // bytes that a source takes beyond what its window allows
const MAX_WINDOW = 2097152;
const IDLE = 60000; // milliseconds until an unused stream is closed
export const newer = (a, b) => ((a - b) | 0) > 0; // of rounds, which wrap

export class Source {
  constructor(host, { to, port, name, gen, open }) {
    Object.assign(this, { host, to, port, name, gen, open, state: 'opening', first: 0n, una: 0, nxt: 0, rcvd: 0, window: 0, bundles: false });
    this.frames = []; // sent, and not acknowledged as a whole: { at, count, f }
    this.out = 0; // their bytes
    this.ready = []; // accepted, and without a number: { port, body }
    this.readyBytes = 0;
    this.waiting = []; // not accepted yet: also { resolve, reject }
    this.flushers = [];
    this.syncs = []; // unanswered: { round, at, time }
    Object.assign(this, { round: 0, askedAt: -1, latest: null, sentSince: 0, cwnd: 65536, futile: 0, late: false });
    Object.assign(this, { srtt: 0, rttvar: 0, rto: 500, wait: 500, deadline: 0, opened: host.now(), used: host.now() });
    this.ended = new Promise((resolve) => { this.#end = resolve; });
    this.#repeat(host.now());
  }

  #end;
  get idle() { return this.una === this.nxt && !this.ready.length && !this.waiting.length; }

  // offer takes a message. It returns nothing if the message is accepted, else a promise of that.
  offer(port, body) {
    this.used = this.host.now();
    if (!this.waiting.length && this.#room()) {
      this.#accept({ port, body });
      return undefined;
    }
    return new Promise((resolve, reject) => {
      this.waiting.push({ port, body, resolve, reject });
      this.#later();
    });
  }

  // cancel gives up the messages of a port that are not accepted yet.
  cancel(port) {
    for (const m of this.waiting.filter((m) => m.port === port)) m.reject(new Error('cancelled'));
    this.waiting = this.waiting.filter((m) => m.port !== port);
  }

  #room() { return (this.state === 'open' || (this.state === 'opening' && this.host.knows(this.to))) && this.readyBytes < READY; }

  #accept(m) {
    this.ready.push(m);
    this.readyBytes += m.body.length + 2;
    this.#later();
  }

  #later() {
    if (this.pumping) return;
    this.pumping = true;
    queueMicrotask(() => {
      this.pumping = false;
      this.pump();
    });
  }

  // pump sends what the window allows, and asks when it is used up.
  pump() {
    const limit = Math.min(this.window, this.cwnd);
    for (;;) {
      while (this.waiting.length && this.#room()) {
        const m = this.waiting.shift();
        this.#accept(m);
        m.resolve();
      }
      if (this.state !== 'open' || !this.ready.length) break;
      const n = this.#fits(limit - this.out);
      if (!n) break;
      this.#send(n);
    }
    if (this.state !== 'open' || this.nxt === this.askedAt || this.una === this.nxt) return;
    if (this.ready.length || this.sentSince >= limit / 2 || this.flushers.length) this.#sync();
  }

  // fits says how many messages the next frame has: 0 if there is no room for one.
  #fits(room) {
    const [{ port, body }] = this.ready;
    if (HEADER + body.length > room) return this.out ? 0 : 1;
    const most = Math.min(4096, this.host.maxPayload, room - HEADER);
    let [n, bytes] = [1, 4 + body.length];
    if (!this.bundles || body.length > 1024) return 1;
    for (; n < this.ready.length; n++) {
      const next = this.ready[n];
      if (next.port !== port || next.body.length > 1024 || bytes + 2 + next.body.length > most) break;
      bytes += 2 + next.body.length;
    }
    return n;
  }

  #send(count) {
    const messages = this.ready.splice(0, count);
    const body = count === 1 ? messages[0].body : bundle(messages.map((m) => m.body));
    const f = this.host.frame(Type.Data, { dst: this.to, port: messages[0].port, seq: this.first + BigInt(this.nxt), flags: count > 1 ? BUNDLE : 0, body });
    for (const m of messages) this.readyBytes -= m.body.length + 2;
    if (this.una === this.nxt) this.#start();
    this.frames.push({ at: this.nxt, count, f });
    this.nxt += count;
    this.out += f.length;
    this.sentSince += f.length;
    this.host.transmit(f);
  }

  #sync() {
    const now = this.host.now();
    this.round = (this.round + 1) >>> 0;
    this.latest = { round: this.round, at: this.nxt, una: this.una, rcvd: this.rcvd, time: now };
    this.syncs = [...this.syncs.slice(-63), this.latest];
    this.askedAt = this.nxt;
    this.sentSince = 0;
    this.#start();
    const body = Buffer.alloc(4);
    body.writeUInt32BE(this.round);
    this.#tell(Type.Sync, this.nxt, body);
  }

  #tell(type, at, body) { this.host.tell(type, { dst: this.to, port: this.port, seq: this.first + BigInt(at), body }); }
  #start() { this.deadline = this.host.now() + this.wait; }

  #sample(ms) {
    this.rttvar = this.srtt ? 0.75 * this.rttvar + 0.25 * Math.abs(this.srtt - ms) : ms / 2;
    this.srtt = this.srtt ? 0.875 * this.srtt + 0.125 * ms : ms;
    this.rto = Math.min(2000, Math.max(100, this.srtt + 4 * this.rttvar));
  }

  // tick is the timer: it repeats Open and Close, and asks. It never sends Data.
  tick(now) {
    if (this.state === 'open' && this.idle && now - this.used > IDLE) this.close();
    if (this.state === 'open' && this.una === this.nxt) return;
    if (now < this.deadline) return;
    this.wait = Math.min(2 * this.wait, 2000);
    this.late = true;
    if (this.state === 'open') {
      this.cwnd = 4096;
      this.#sync();
    } else this.#repeat(now);
  }

  #repeat(now) {
    this.deadline = now + this.wait;
    if (this.state === 'opening') this.host.transmit(this.host.frame(Type.Open, { dst: this.to, port: this.port, seq: this.gen, body: this.open }));
    if (this.state === 'closing') this.#tell(Type.Close, this.nxt);
    if (this.state === 'closing' && this.doubt) this.#sync();
  }

  // close ends a stream with nothing outstanding. A message that comes now waits for the next one.
  close() {
    if (this.state !== 'open' || !this.idle) return;
    Object.assign(this, { state: 'closing', wait: this.rto });
    this.#repeat(this.host.now());
  }

  // flushed waits until all is delivered, or the stream has ended.
  flushed() {
    if (this.idle || this.state === 'ended') return undefined;
    return new Promise((resolve) => {
      this.flushers.push(resolve);
      this.#later();
    });
  }

  begin(first, window, bundles) {
    if (this.wait === 500) this.#sample(this.host.now() - this.opened);
    Object.assign(this, { state: 'open', first, window: Math.min(window, MAX_WINDOW), bundles, wait: this.rto });
    this.pump();
  }

  refused(reason, remembered) {
    if (reason === 2) this.end('it leaves');
    else if (reason === 4) this.end('no such service');
    else if (reason === 3 && remembered > this.host.inc) this.host.outlived(this, remembered);
    else if (reason !== 3) this.#start(); // no room there: ask again later
  }

  at(seq) { return Number(seq - this.first); }

  // names says whether an answer with this number means what is outstanding now (10.7).
  names(seq) {
    const from = this.frames.length && this.frames[0].at < this.una ? this.frames[0].at : this.una;
    const at = this.at(seq);
    return (this.state === 'open' || this.state === 'closing') && at >= from && at <= this.nxt;
  }

  ack(f) {
    if (this.state !== 'open' && this.state !== 'closing') return;
    const done = this.at(f.readBigUInt64BE(24));
    const rcvd = done + f.readUInt32BE(HEADER);
    const round = f.readUInt32BE(HEADER + 8);
    const ranges = [];
    for (let at = HEADER + 12; at < f.length; at += 8) {
      const from = rcvd + f.readUInt32BE(at);
      ranges.push({ from, to: from + f.readUInt32BE(at + 4) });
    }
    if (done < this.una - MAX_WINDOW || rcvd > this.nxt || (ranges.length && ranges.at(-1).to > this.nxt)) return;
    if (newer(round, this.round) || (round === this.latest?.round && (done < this.latest.una || rcvd < this.latest.rcvd))) {
      if (this.state === 'closing') this.doubt = true; // a late one? The next Close asks
      else this.end('its sink contradicts itself');
      return;
    }
    if (done < this.una || rcvd < this.rcvd) return;
    const moved = done > this.una || rcvd > this.rcvd;
    const acked = done - this.una;
    this.#advance(done);
    this.rcvd = rcvd;
    this.window = Math.min(f.readUInt32BE(HEADER + 4), MAX_WINDOW);
    if (moved) {
      Object.assign(this, { wait: this.rto, futile: 0 });
      this.#start();
    }
    if (this.state === 'closing') return;
    if (this.#answered(round, ranges, moved, acked)) return;
    this.pump();
    if (this.una < this.nxt && !this.syncs.length && ranges.length && this.futile < 3) this.#sync();
    this.#settle();
  }

  // answered judges what the answer to a Sync shows as lost, and sends that again. It says whether the stream has ended.
  #answered(round, ranges, moved, acked) {
    const sync = this.syncs.find((s) => s.round === round);
    if (!sync) return false;
    if (sync === this.latest) {
      this.#sample(this.host.now() - sync.time);
      this.wait = this.rto;
    }
    this.syncs = this.syncs.filter((s) => newer(s.round, round));
    const end = ranges.length === 32 ? Math.min(sync.at, ranges.at(-1).to) : sync.at;
    const part = this.frames.find((x) => x.at < this.rcvd && x.at + x.count > this.rcvd);
    if (part) {
      this.end('its sink has a part of a frame');
      return true;
    }
    const lost = this.frames.filter((x) => x.at < end && x.at >= this.rcvd && !ranges.some((r) => r.from <= x.at && x.at + x.count <= r.to));
    if (!lost.length) this.cwnd = Math.min(MAX_WINDOW, this.cwnd + (acked ? 65536 : 0));
    else if (this.futile < 3 || this.late) {
      this.cwnd = Math.max(4096, this.cwnd / 2);
      this.futile = moved ? 0 : this.futile + 1;
      this.late = false;
      for (const x of lost) this.host.transmit(x.f);
      this.host.count.retransmitted += lost.length;
      this.#sync();
    }
    return false;
  }

  #advance(done) {
    this.una = done;
    while (this.frames.length && this.frames[0].at + this.frames[0].count <= done) this.out -= this.frames.shift().f.length;
  }

  #settle() {
    if (this.idle) for (const resolve of this.flushers.splice(0)) resolve();
  }

  farewell(seq) {
    const cut = this.at(seq);
    if ((this.state !== 'open' && this.state !== 'closing') || cut < this.rcvd || cut > this.nxt) return;
    this.#advance(cut);
    this.end('it has left', false);
  }

  // end tells the host what came of each message: unknown, or certainly not handled.
  end(reason, unknown = true) {
    if (this.state === 'ended') return;
    this.state = 'ended';
    this.#end();
    const sent = this.frames.flatMap((x) => unbundle(x.f).slice(Math.max(0, this.una - x.at)).map((body) => ({ port: x.f[6], body, unknown })));
    const ready = this.ready.map((m) => ({ ...m, unknown: false }));
    for (const resolve of this.flushers.splice(0)) resolve();
    this.host.sourceEnded(this, reason, [...sent, ...ready], this.waiting.splice(0));
  }
}
