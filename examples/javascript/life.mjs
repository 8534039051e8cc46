// One incarnation of a node: its tables, links and streams. It ends as a whole, and another begins.
import crypto from 'node:crypto';
import { Links } from './links.mjs';
import { NO_NODE, Table, distance } from './routing.mjs';
import { Runs } from './runs.mjs';
import { Sink } from './sink.mjs';
import { Source } from './source.mjs';
import { DETOUR, HEADER, MAX_INC, Type, frame, isLinkFrame, messagesOf, wellFormed } from './wire.mjs';

const SINKS = 4096;
const CASTS = 1024; // handlers of casts that run at the same time
const FAR = 1n << 46n; // an incarnation so far beyond all others was given out by no registry
const answered = new Set([Type.Open, Type.Data, Type.Sync, Type.Close, Type.Trace]); // with NoRoute
const byPort = () => Array.from({ length: 128 }, () => new Map());

export class Life {
  constructor(node, terms) {
    const { id, inc, bits, max_payload: maxPayload, hop_limit: hopLimit } = terms;
    Object.assign(this, { node, id, inc, bits, maxPayload, hopLimit, mask: (1n << BigInt(bits)) - 1n, longest: HEADER + Math.max(maxPayload, 512) });
    Object.assign(this, { over: false, paused: false, ready: false, leaving: false, identity: '', latest: inc, members: 0 });
    Object.assign(this, { others: new Map(), whole: false, idle: new Set(), gone: new Map(), backlog: 0, maxBacklog: 32 << 20, casting: 0, sinkCount: 0, onNoSinks: () => {} });
    this.count = { delivered: 0, relayed: 0, casts: 0, sent: 0, retransmitted: 0, duplicates: 0, panics: 0, detoured: 0, unknown: 0, full: 0, linkDown: 0, noRoute: 0, hopLimit: 0, overshoot: 0, stale: 0, malformed: 0, refused: 0 };
    this.sources = byPort();
    this.sinks = byPort(); // both by port, then by the other node's ID
    this.gen = crypto.randomBytes(8).readBigUInt64BE() >> 16n;
    this.traces = new Map();
    this.runs = new Runs(this);
    this.links = new Links(this, new Table(id, this.mask));
  }

  log(text) { this.node.log(text); }
  now() { return performance.now(); }

  // Links: what the registry is told, and how a peer is dialled.

  trouble({ id, inc }, error) { this.toRegistry('Trouble', { id, inc, error: error.slice(0, 500) }); }
  linked(epoch, error) { this.node.registry.linked(epoch, error); }
  dialPeer(peer) { return this.node.dialPeer(this, peer); }
  toRegistry(name, fields) { this.node.registry.send(name, fields); }

  // Messages of the registry.

  manifest(m) {
    this.links.set(this.links.table.manifest(m));
    const others = new Map(m.others.map((id, i) => [id, m.incs[i] ?? 0n]));
    const missing = [...this.others].filter(([id, inc]) => others.get(id) !== inc && inc <= this.latest);
    if (this.whole && m.others.length < 1024) for (const [id, inc] of missing) this.#endSources(id, inc);
    Object.assign(this, { others, idle: new Set(m.idle), members: m.members, whole: m.others.length < 1024 });
    this.heard(m.inc, ...m.incs, ...m.entries.map((p) => p.inc), ...m.successors.map((p) => p.inc));
  }

  update(u) {
    this.links.set(this.links.table.update(u));
    this.members = u.members;
    u.gone.forEach((ref, i) => this.isGone(ref, u.epoch, u.sigs[i] ?? ''));
    this.heard(...u.slots.map((p) => p.inc), ...u.successors.map((p) => p.inc));
  }

  announce(a) {
    this.members = a.members;
    for (const ref of [...a.left, ...a.gone]) if ((this.others.get(ref.id) ?? ref.inc + 1n) <= ref.inc) this.others.delete(ref.id);
    for (const ref of a.left) for (const sinks of this.sinks) if (sinks.get(ref.id)?.inc <= ref.inc) sinks.get(ref.id).left = true;
    a.gone.forEach((ref, i) => this.isGone(ref, a.epoch, a.sigs[i] ?? ''));
    a.added.forEach((id, i) => {
      if (id === this.id || (this.others.size >= 1024 && !this.others.has(id))) return;
      this.others.set(id, a.incs[i] ?? 0n);
      if (a.idle.includes(id)) this.idle.add(id);
      else this.idle.delete(id);
    });
    this.heard(...a.incs);
  }

  heard(...incs) { for (const inc of incs) if (inc <= MAX_INC && inc > this.latest) this.latest = inc; }
  knows(id) { return this.others.has(id) || id === this.id; }
  isOver({ id, inc }) { return (this.gone.get(id)?.inc ?? -1n) >= inc; }
  isImpossible(inc) { return inc > MAX_INC || (inc > this.latest + FAR && inc > BigInt(Date.now()) * 1000000n + FAR); }

  // isGone ends all that there is with a life that is over (R54).
  isGone({ id, inc }, epoch, sig) {
    if (this.isOver({ id, inc })) return;
    this.gone.delete(id);
    this.gone.set(id, { inc, epoch, sig });
    if (this.gone.size > 65536) this.gone.delete(this.gone.keys().next().value);
    if (this.others.get(id) <= inc) this.others.delete(id);
    this.links.gone((p) => p.id === id && p.inc <= inc);
    this.#endSources(id, inc);
    for (const sinks of this.sinks) {
      if (sinks.get(id)?.inc <= inc) this.#forget(sinks, id);
    }
  }

  // isBack forgets, but for what Register says, which lives are over: another registry may know better.
  isBack() { this.gone = new Map([...this.gone].slice(-64)); }

  #endSources(id, inc) {
    for (const sources of this.sources) {
      const s = sources.get(id);
      if (s && (s.inc ?? 0n) <= inc) s.end(`node ${id} is gone`);
    }
  }

  // Frames: of others, to others, and to this node.

  // receive takes a frame from a link (section 9).
  receive(f, link) {
    this.node.awake();
    const hops = Math.min(f.readUInt16BE(4) + 1, 65535);
    f.writeUInt16BE(hops, 4);
    const dst = f.readBigUInt64BE(8);
    if (dst === this.id) return this.#mine(f, hops);
    if (!this.links.table.epoch || this.paused) return this.drop('noRoute', f, hops);
    let to;
    if (f[7] & DETOUR) to = this.links.to(dst);
    else {
      link.far ??= distance(link.id, this.id, this.mask);
      if (link.far > ((dst - link.id) & this.mask)) return this.drop('overshoot', f, hops);
    }
    if (hops >= this.hopLimit) return this.#noRoute(f, hops, 'hopLimit', 2);
    if (!(f[7] & DETOUR)) {
      const way = this.links.routes.next(dst, this.node.registry.authoritative());
      if (way === NO_NODE) return this.#noRoute(f, hops, 'noRoute', 1);
      if (way?.detour) f[7] |= DETOUR;
      to = way?.link;
    }
    if (!to) return this.drop('linkDown', f, hops);
    if (!to.send(f)) return this.drop('full', f, hops);
    const n = f[0] === Type.Data ? messagesOf(f) : 1;
    this.count.relayed += n;
    if (f[0] === Type.Data && f[6] >= 128) this.runs.relayed(f[6], n);
    if (f[0] === Type.Trace) this.#traced(f, hops, 0);
  }

  drop(why, f, hops) {
    const n = f[0] === Type.Data ? messagesOf(f) : 1;
    this.count[why] += n;
    if (f[0] === Type.Data && f[6] >= 128) this.runs.wasted(f[6], n * (hops - 1));
  }

  #noRoute(f, hops, why, reason) {
    this.drop(why, f, hops);
    const src = f.readBigUInt64BE(16);
    if (!answered.has(f[0]) || src > this.mask || src === this.id) return;
    const body = Buffer.alloc(10);
    body[0] = f[0];
    body[1] = reason;
    f.copy(body, 2, 8, 16);
    this.tell(Type.NoRoute, { dst: src, port: f[6] & 128 ? 0 : f[6], seq: f.readBigUInt64BE(24), body });
  }

  #traced(f, hops, last) {
    const body = Buffer.alloc(3);
    body.writeUInt16BE(hops);
    body[2] = last;
    this.tell(Type.Traced, { dst: f.readBigUInt64BE(16), seq: f.readBigUInt64BE(24), body });
  }

  frame(type, fields) { return frame(type, { ...fields, src: this.id }); }
  tell(type, fields) { this.transmit(this.frame(type, fields)); }

  // transmit sends a frame of this node's own. What cannot go now is lost: streams repeat.
  transmit(f) {
    if (this.over || this.paused) return;
    const dst = f.readBigUInt64BE(8);
    if (dst === this.id) return queueMicrotask(() => this.#mine(f, 0));
    if (!this.links.table.epoch) return;
    const way = this.links.routes.next(dst, this.node.registry.authoritative());
    if (way === NO_NODE && answered.has(f[0])) return queueMicrotask(() => this.#noWay(f[0], f[6] & 128 ? 0 : f[6], dst, f.readBigUInt64BE(24), 1));
    if (!way?.link) return void this.count.linkDown++;
    f[7] = (f[7] & ~DETOUR) | (way.detour ? DETOUR : 0);
    if (way.detour) this.count.detoured++;
    if (!way.link.send(f)) this.count.full++;
  }

  // mine takes a frame for this node.
  #mine(f, hops) {
    const [type, port] = [f[0], f[0] === Type.Data && f[6] >= 128 ? 0 : f[6]];
    const src = f.readBigUInt64BE(16);
    const seq = f.readBigUInt64BE(24);
    if (this.over || this.paused) return;
    if (src > this.mask || (src === this.id && hops > 0) || !wellFormed(f) || port >= 128 || isLinkFrame(type)) return this.drop('malformed', f, hops);
    const source = this.sources[port].get(src);
    const sink = this.sinks[port].get(src);
    switch (type) {
      case Type.Open: return this.#open(f, port, src, seq, sink);
      case Type.Opened: return this.#opened(f, port, src, seq, source);
      case Type.Refuse:
        if (source?.state === 'opening' && source.gen === seq && f.readBigUInt64BE(HEADER) === this.inc) source.refused(f[40], f.readBigUInt64BE(41));
        return;
      case Type.Data:
        if (sink) return sink.data(f, hops);
        this.drop('stale', f, hops);
        return this.#reset(src, port, seq);
      case Type.Sync: return sink ? sink.sync(seq, f.readUInt32BE(HEADER)) : this.#reset(src, port, seq);
      case Type.Close:
        if (!sink) return this.tell(Type.Closed, { dst: src, port, seq });
        if (sink.close(seq)) this.#forget(this.sinks[port], src);
        return;
      case Type.Ack: return source?.ack(f);
      case Type.Closed: return source?.state === 'closing' && source.at(seq) === source.nxt ? source.end('closed') : undefined;
      case Type.Reset: return source?.names(seq) ? source.end('its sink has forgotten the stream') : undefined;
      case Type.Farewell:
        source?.farewell(seq);
        return this.tell(Type.Close, { dst: src, port, seq });
      case Type.NoRoute: return this.#noWay(f[HEADER], port, f.readBigUInt64BE(HEADER + 2), seq, f[HEADER + 1]);
      case Type.Cast: return this.#cast(f, port, src, hops);
      case Type.Trace: return this.#traced(f, hops, 1);
      case Type.Traced: return this.traces.get(seq)?.hop(src, f.readUInt16BE(HEADER), f[HEADER + 2] === 1);
    }
    this.count.unknown++;
  }

  // reset answers Data or Sync of no stream, once for each source and batch.
  #reset(dst, port, seq) {
    if (this.lastReset === dst) return;
    this.lastReset = dst;
    queueMicrotask(() => { this.lastReset = null; });
    this.tell(Type.Reset, { dst, port, seq });
  }

  #open(f, port, src, gen, old) {
    const inc = f.readBigUInt64BE(HEADER);
    const name = f.toString('utf8', HEADER + 8);
    if (gen > 1n << 62n || this.isImpossible(inc)) return this.drop('malformed', f, 0);
    const handler = this.node.handler(port ? name : '');
    if (port && !handler) return this.#refuse(port, src, gen, inc, 4);
    if (old?.inc === inc && old.gen >= gen) return old.gen === gen ? old.opened() : undefined;
    const last = [this.gone.get(src)?.inc ?? 0n, ...this.sinks.map((sinks) => sinks.get(src)?.inc ?? 0n)].reduce((a, b) => (a > b ? a : b));
    if (last > inc) return this.#refuse(port, src, gen, inc, 3, last);
    if (this.isOver({ id: src, inc })) return this.drop('stale', f, 0);
    if (this.leaving) return this.#refuse(port, src, gen, inc, 2);
    if (!old && this.sinkCount >= SINKS) return this.#refuse(port, src, gen, inc, 1);
    const sink = new Sink(this, { from: src, port, inc, gen, handler, service: port ? name : '' });
    this.sinks[port].set(src, sink);
    if (!old) this.sinkCount++;
    old?.replace(sink);
    this.heard(inc);
    sink.opened();
  }

  #refuse(port, dst, gen, inc, reason, remembered = 0n) {
    const body = Buffer.alloc(17);
    body.writeBigUInt64BE(inc);
    body[8] = reason;
    body.writeBigUInt64BE(remembered, 9);
    this.tell(Type.Refuse, { dst, port, seq: gen, body });
  }

  #opened(f, port, src, gen, source) {
    const [inc, sinkInc, first] = [0, 8, 16].map((at) => f.readBigUInt64BE(HEADER + at));
    if (source?.state === 'opening' && source.gen === gen && inc === this.inc && first <= 1n << 63n) {
      source.inc = sinkInc;
      source.begin(first, f.readUInt32BE(HEADER + 24), (f[7] & 2) !== 0);
    } else if (!source || inc > this.inc || gen > this.gen) this.tell(Type.Close, { dst: src, port, seq: first }); // another has asked in this node's name
  }

  // noWay ends what cannot be delivered, since no node has the ID or the way is too long.
  #noWay(type, port, dst, seq, reason) {
    if (type === Type.Trace) return this.traces.get(seq)?.fail(dst);
    const source = this.sources[port].get(dst);
    const means = source && (type === Type.Open ? source.state === 'opening' && source.gen === seq : source.names(seq));
    if (means && answered.has(type)) source.end(reason === 2 ? `the way to node ${dst} is too long` : `there is no node ${dst}`);
  }

  // Messages.

  // offer takes a message for a stream. See Source.offer.
  offer(to, port, as, body, name = '') {
    if (this.over) return Promise.reject(new Error('this incarnation has ended'));
    let source = this.sources[port].get(to);
    if (!source) {
      const open = Buffer.concat([Buffer.alloc(8), Buffer.from(port ? name : '')]);
      open.writeBigUInt64BE(this.inc);
      source = new Source(this, { to, port, name, gen: ++this.gen, open });
      source.inc = this.others.get(to);
      this.sources[port].set(to, source);
    }
    this.count.sent++;
    return source.offer(as, body);
  }

  sourceEnded(source, reason, messages, waiting) {
    const { to, port, name } = source;
    this.sources[port].delete(to);
    const back = [];
    for (const m of messages) (m.port >= 128 ? this.runs.ended(to, m) : back.push(m));
    const again = reason === 'closed' || reason.startsWith('its sink'); // the node may be there all the same
    if (back.length) this.node.emit('undelivered', { service: name, to, reason, again, messages: back });
    for (const m of waiting) {
      if (again) Promise.resolve(this.offer(to, port, m.port, m.body, name)).then(m.resolve, m.reject);
      else m.reject(new Error(`${reason} (node ${to})`));
    }
  }

  // outlived is called when a sink remembers a later incarnation of this node than its own (6.5).
  outlived(source, remembered) {
    if (this.leaving) source.end('its sink remembers a later life of this node');
    else this.node.registry.again(remembered);
  }

  // grant is the window of a sink: together all have about 8 MiB.
  grant() { return Math.max(2048, Math.min(2097152, Math.floor((8 << 20) / (this.sinkCount || 1)))); }

  // deliver hands a message over. It returns a promise if the handler is not done yet.
  deliver(sink, { port, body, hops }) {
    this.count.delivered++;
    if (port >= 128) return this.runs.received(port, sink.from, body, hops);
    return this.node.handle(sink.handler, { source: sink.from, incarnation: sink.inc, body, hops, cast: false });
  }

  cast(to, port, name, body) {
    const head = Buffer.from(name);
    this.count.casts++;
    this.tell(Type.Cast, { dst: to, port: port && 1, body: port ? Buffer.concat([Buffer.of(head.length), head, body]) : body });
  }

  #cast(f, port, source, hops) {
    const body = Buffer.from(f.subarray(HEADER));
    const n = port ? 1 + (body[0] ?? 0) : 0;
    const handler = port > 1 || n === 1 || n > Math.min(65, body.length) ? null : this.node.handler(body.toString('utf8', Math.min(1, n), n));
    if (!handler || this.casting >= CASTS) return this.drop(handler ? 'full' : 'malformed', f, hops);
    this.casting++;
    Promise.resolve(this.node.handle(handler, { source, body: body.subarray(n), hops, cast: true })).then(() => this.casting--);
  }

  // trace returns the hops to a node: [{ id, elapsed }], or throws with those known.
  trace(to) {
    if (to === this.id) return Promise.resolve([]);
    if (this.traces.size >= 16) return Promise.reject(new Error('16 traces are under way'));
    return new Promise((resolve, reject) => {
      const nonce = crypto.randomBytes(8).readBigUInt64BE();
      const [began, hops] = [process.hrtime.bigint(), []];
      let last = Infinity;
      const send = () => this.tell(Type.Trace, { dst: to, seq: nonce });
      const again = setInterval(send, 500);
      const fail = (text, noSuchNode = false) => end(() => reject(Object.assign(new Error(text), { hops: hops.filter(Boolean), noSuchNode })));
      const timer = setTimeout(() => fail(`no answer from node ${to} within 10 seconds`), 10000);
      const end = (then) => {
        clearInterval(again);
        clearTimeout(timer);
        this.traces.delete(nonce);
        then();
      };
      const hop = (id, n, isLast) => {
        if (n < 1 || n > 65535) return;
        hops[n - 1] ??= { id, elapsed: process.hrtime.bigint() - began };
        if (isLast) last = n;
        if (hops.filter(Boolean).length >= last) end(() => resolve(hops.slice(0, last)));
      };
      this.traces.set(nonce, { hop, fail: () => fail(`there is no node ${to}`, true) });
      send();
    });
  }

  // Time, and the end.

  tick(now) { for (const sources of this.sources) for (const s of sources.values()) s.tick(now); }

  // sweep is for every third of a lease.
  sweep(lease) {
    const now = this.now();
    for (const sinks of this.sinks) {
      for (const [id, s] of sinks) {
        s.tick();
        if (now - s.seen > (s.left ? lease / 3 : 300000) && !s.busy && !s.queue.length) this.#forget(sinks, id);
      }
    }
  }

  #forget(sinks, id) {
    sinks.get(id).giveUp();
    sinks.delete(id);
    this.sinkCount--;
    if (!this.sinkCount) this.onNoSinks();
  }

  resume() {
    this.paused = false;
    for (const sinks of this.sinks) for (const s of sinks.values()) s.deliver();
  }

  async flush() { await Promise.all(this.sources.flatMap((m) => [...m.values()].map((s) => s.flushed()))); }

  // endSinks says to each source what came of its messages (10.9), and waits until all know.
  endSinks() {
    if (!this.sinkCount) return null;
    const done = new Promise((resolve) => { this.onNoSinks = resolve; });
    for (const sinks of this.sinks) for (const s of sinks.values()) s.leave();
    return done;
  }

  endSources() {
    const all = this.sources.flatMap((m) => [...m.values()]);
    for (const s of all) s.close();
    return Promise.all(all.map((s) => s.ended));
  }

  // end ends everything at once: nothing more is delivered or sent.
  end(reason) {
    if (this.over) return;
    this.over = true;
    this.links.stop();
    for (const sources of this.sources) for (const s of [...sources.values()]) s.end(reason);
    for (const t of [...this.traces.values()]) t.fail();
  }
}
