// A node of a ring, for programs: services, sending, joining and leaving. See main.mjs for its use.
import crypto from 'node:crypto';
import { EventEmitter } from 'node:events';
import { Refusal, dial, listen } from './conn.mjs';
import { Life } from './life.mjs';
import { Registry } from './registry.mjs';
import { Security, isJoinLine } from './secure.mjs';
import { Role, Status, hello } from './wire.mjs';

const TICK = 25; // milliseconds between two looks at the timers
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms).unref());

// Service sends messages to the service of the same name at other nodes.
class Service {
  #node;
  #port;

  constructor(node, name, port, handler) {
    this.#node = node;
    this.#port = port;
    Object.assign(this, { name, handler });
  }

  // send resolves when the message is accepted: it is then delivered once, in order, unless
  // 'undelivered' says otherwise. It waits for the node to be ready, and for room.
  async send(to, body) {
    const life = await this.#node.ready();
    return life.offer(BigInt(to), this.#port, this.#port, this.#bytes(life, body, 0), this.name);
  }

  // cast sends a message that may be lost, and says nothing of it.
  async cast(to, body) {
    const life = await this.#node.ready();
    life.cast(BigInt(to), this.#port, this.name, this.#bytes(life, body, 65));
  }

  #bytes(life, body, head) {
    const bytes = Buffer.from(body);
    if (bytes.length + (this.#port && head) > life.maxPayload) throw new Error(`a message of ${bytes.length} bytes is longer than the ring's ${life.maxPayload}`);
    return bytes;
  }
}

// Node emits
//   'ready'        when messages may be sent, once for each life
//   'undelivered'  ({ service, to, reason, again, messages: [{ body, unknown }] }): unknown messages may have
//                  been handled, the others were not; again says that the node may still be there
//   'log'          (text)
//   'end'          (error), when it is no member any more and will not be one again
export class Node extends EventEmitter {
  #services = new Map();
  #byPort = [];
  #awake = Date.now();
  #server;
  #timers = [];
  #closing = false;
  #leaving = false;
  #windUp = [];
  #began = []; // waits for a life
  #waiting = []; // waits for Ready

  // registry is host:port, or the join line of a secure ring. advertise is host:port if others reach
  // this node elsewhere than where it dials from. port 0 is any that is free. traffic: it sends in traffic runs.
  constructor({ registry, ring = 'ring', host, port = 0, advertise = null, traffic = true }) {
    super();
    this.security = isJoinLine(registry) ? new Security(registry) : null;
    this.registryAddr = this.security?.addr ?? registry;
    Object.assign(this, { ring, host, port, advertise, traffic, life: null });
    do this.token = crypto.randomBytes(8).readBigUInt64BE(); while (!this.token);
    this.registry = new Registry(this);
    this.service('', null);
  }

  get id() { return this.life?.id; }
  get size() { return this.life?.members ?? 0; } // of the ring
  // members are other nodes: all of a ring of up to 1,024, else some.
  get members() { return [...(this.life?.others.keys() ?? [])]; }
  get counters() { return this.life?.count; }
  log(text) { this.emit('log', text); }
  handler(name) { return this.#services.get(name)?.handler; }

  // service registers a handler, before join. It gets { source, body, hops, cast }, one message of a
  // source at a time: if it returns a promise, the next one waits for that. '' is the service without
  // a name; a node that has no handler for a service can still send to it.
  service(name, handler = null) {
    const known = this.#services.get(name);
    if (known?.handler) throw new Error(`the service ${JSON.stringify(name)} is registered already`);
    if (this.#server || this.#byPort.length > 127) throw new Error('services are registered before join, at most 127');
    if (Buffer.byteLength(name) > 64 || name.trim() !== name || /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/u.test(name)) throw new Error('the name of a service has at most 64 bytes that can be printed, and no space at its ends');
    const s = known ?? new Service(this, name, this.#byPort.length, handler);
    s.handler = handler;
    this.#services.set(name, s);
    if (!known) this.#byPort.push(s);
    return s;
  }

  // join resolves with this node's ID when the registry has admitted it.
  async join() {
    const { security } = this;
    this.#server = await listen({ host: this.host, port: this.port, security, judge: (h, proof) => this.#judge(h, proof), taken: (conn, h) => this.#taken(conn, h) });
    this.port = this.#server.address().port;
    this.#timers.push(setInterval(() => this.#tick(), TICK));
    const run = this.registry.run().catch((err) => {
      this.#close(err);
      throw err;
    });
    run.catch(() => {});
    await Promise.race([this.#living(), run]);
    return this.id;
  }

  #living() { return this.life ? null : new Promise((resolve) => this.#began.push(resolve)); }

  // ready resolves once messages may be sent.
  ready() {
    if (this.#closing) return Promise.reject(new Error('this node has left'));
    if (this.life?.ready && !this.life.over) return Promise.resolve(this.life);
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  // flush resolves when every accepted message is delivered, or 'undelivered' has told of it.
  async flush() { await this.life?.flush(); }

  trace(to) { return this.life.trace(BigInt(to)); }

  // onLeave registers what winds a program up: it runs before the node leaves, the last one first.
  onLeave(work) { this.#windUp.unshift(work); }

  // leave takes the node out of the ring in good order (6.6), each step within the time given.
  async leave(ms = 10000) {
    if (this.#closing || this.#leaving) return;
    this.#leaving = true;
    const { life, registry } = this;
    const within = (work, time = ms) => Promise.race([work, sleep(time)]);
    if (life && !life.over) {
      for (const work of this.#windUp) await within(work());
      life.runs.leave();
      await within(life.flush());
      life.leaving = true;
      await within(life.endSinks(), registry.lease);
      await within(life.flush());
      await within(life.endSources(), registry.lease);
      await registry.deregister();
      await within(life.links.noneIncoming(), registry.lease);
      await within(life.links.endAll(), 1000);
    }
    registry.close();
    this.#close(null);
  }

  #close(err) {
    if (this.#closing) return;
    this.#closing = true;
    this.endLife(err?.message ?? 'this node has left');
    for (const t of this.#timers) clearInterval(t);
    this.#server?.close();
    for (const { reject } of this.#waiting.splice(0)) reject(err ?? new Error('this node has left'));
    this.emit('end', err);
  }

  // What the registry's connection calls.

  begin(terms) {
    this.endLife('another life of this node has begun');
    this.life = new Life(this, terms);
    for (const resolve of this.#began.splice(0)) resolve();
    const sweep = setInterval(() => this.life?.sweep(this.registry.lease), this.registry.lease / 3);
    clearInterval(this.#timers[1]);
    this.#timers[1] = sweep;
  }

  onReady() {
    for (const { resolve } of this.#waiting.splice(0)) resolve(this.life);
    this.emit('ready');
  }

  endLife(reason) { this.life?.end(reason); }
  expelled() { this.#close(new Error('the operator of the ring has expelled this node')); }

  // What a life calls.

  // handle calls a handler. What it throws is logged: the message counts as handled.
  handle(handler, message) {
    const failed = (err) => {
      this.life.count.panics++;
      this.log(`a handler failed: ${err?.stack ?? err}`);
    };
    try {
      const work = handler?.(message);
      return work?.then ? work.then(() => {}, failed) : undefined;
    } catch (err) {
      return failed(err);
    }
  }

  dialPeer(life, peer) {
    const check = (proof) => {
      const a = this.security.member(proof);
      if (a.id !== peer.id || a.inc !== peer.inc) throw new Error(`another node than ${peer.id} answers at ${peer.addr}`);
    };
    const says = hello({ role: Role.link, from: life, to: peer, ring: this.ring });
    return dial(peer.addr, says, { security: this.security, alpn: 'rdht/2', check, timeout: Math.max(100, this.registry.lease / 2) });
  }

  // awake finds out that the process did not run for longer than a lease. The clock is the time of
  // day, since others go on while the machine sleeps.
  awake() {
    const now = Date.now();
    const gap = now - this.#awake;
    this.#awake = now;
    if (gap > 4 * TICK) this.registry.late += gap - TICK;
    if (gap > this.registry.lease && this.life && !this.life.over) this.registry.pause();
  }

  #tick() {
    this.awake();
    const now = performance.now();
    this.registry.tick(now);
    this.life?.tick(now);
  }

  // judge looks at a hello, in the order of R3. It returns the token of the answer.
  async #judge(h, proof) {
    const { security } = this;
    const probe = h.role === Role.probe;
    let from = h.from;
    if (security) {
      if (!proof) throw new Refusal(Status.notAdmitted, 'this ring is secure: join it with its join line');
      if (proof.alpn === 'rdht/2') from = security.member(proof);
      else if (!security.isRegistry(proof)) throw new Refusal(Status.notAdmitted, 'only the registry is answered here');
    }
    if (h.ring !== this.ring) throw new Refusal(Status.ring, `this is ring ${JSON.stringify(this.ring)}`);
    if (h.codec !== 'msgpack') throw new Refusal(Status.codec, 'this ring uses the codec msgpack');
    if (security && (probe !== (proof.alpn === 'rdht-probe/2') || (!probe && (from.id !== h.from.id || from.inc !== h.from.inc)))) {
      throw new Refusal(Status.notAdmitted, 'the hello says otherwise than the certificate');
    }
    if (probe) return this.#answer(h.token);
    if (h.role !== Role.link) throw new Refusal(Status.role, 'this is a node');
    if (!this.life) await Promise.race([this.#living(), sleep(1000)]);
    if (!this.#welcome(h)) throw new Refusal(Status.identity, 'this is not the node that was dialled, or the dialling node is none');
    return 0n;
  }

  #welcome({ from, to }) {
    const { life } = this;
    return life && !life.over && !this.#closing && to.id === life.id && to.inc === life.inc && from.id !== life.id && from.id <= life.mask && !life.isOver(from) && !life.isImpossible(from.inc);
  }

  #answer(nonce) {
    const [key, bytes] = [Buffer.alloc(8), Buffer.alloc(8)];
    key.writeBigUInt64BE(this.security?.token ?? this.token);
    bytes.writeBigUInt64BE(nonce);
    return crypto.createHmac('sha256', key).update(bytes).digest().readBigUInt64BE();
  }

  #taken(conn, h) {
    if (this.#welcome(h)) this.life.links.accept(conn, h.from);
    else conn.destroy();
  }
}
