// The connection to the registry (section 6): registering, heartbeats, coming back, leaving.
import { Refusal, dial, join } from './conn.mjs';
import { Breach, MAX_INC, Role, Status, checkControl, control, hello, parseControl } from './wire.mjs';

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Refused is the registry's answer to a Register.
class Refused extends Error {
  constructor({ code, reason }) {
    super(`the registry refuses: ${JSON.stringify(reason)} (code ${code})`);
    this.code = Number(code);
  }
}

export class Registry {
  #conn = null; // registered
  #beats = []; // when those without an answer were sent
  #answered = 0; // when the latest one with an answer was sent
  #heard = 0;
  #settled = true; // a table is in use that came over this connection
  #status = ''; // as it was told last
  #doubted = false; // the admission was not believed
  #elsewhere = 0; // milliseconds of Refused 11
  #strangers = 0; // Refused 6 in a row
  #want = null;
  #deregistered = null;

  constructor(node) {
    Object.assign(this, { node, lease: 3000, every: 1, late: 0, seen: 0n, reborn: -Infinity, stopped: false });
  }

  send(name, fields) { this.#conn?.write(control(name, fields)); }

  // authoritative says whether this node may answer "no such node" (7.3).
  authoritative() {
    return this.node.life?.ready === true && this.#conn !== null && this.#settled && !this.#deregistered && performance.now() - this.#answered < (this.lease * this.every) / 2;
  }

  linked(epoch, error) {
    this.send('Linked', { epoch, error });
    if (this.#conn) this.#settled = true;
  }

  // run keeps the node a member until it has left. It throws if there is no hope.
  async run() {
    for (let wait = 50; !this.stopped; wait = Math.min(2 * wait, this.lease / 2, 5000)) {
      const began = Date.now();
      try {
        const conn = await this.#register();
        wait = 25;
        await conn.gone;
      } catch (err) {
        if (this.stopped) return;
        this.node.life?.resume(); // the registry cannot be reached: go on after a pause
        this.#judge(err, Date.now() - began + wait);
        this.node.log(`${err.message}; trying again`);
      }
      if (!this.stopped) await sleep(wait * (0.5 + Math.random() / 2));
    }
  }

  // judge says what comes after a failure: another way to register, or the end.
  #judge(err, ms) {
    const { life, security } = this.node;
    const member = life && !life.over;
    const code = err instanceof Refused ? err.code : 0;
    const status = err instanceof Refusal ? err.status : 0;
    if (code !== 11) this.#elsewhere = 0;
    if (code !== 6) this.#strangers = 0;
    if (code === 13 || status === Status.expelled) throw this.#final(err);
    if (code === 12 || status === Status.notAdmitted || status === Status.expired) {
      if (!security?.admission) throw this.#final(err);
      this.#doubted = !this.#doubted;
    } else if (code === 9) this.#want = null;
    else if (member && code === 8) this.node.endLife('the registry has declared this node dead');
    else if (member && code === 11 && (this.#elsewhere += Math.min(ms, 2 * this.lease)) > 20 * this.lease) {
      this.node.endLife('its registry serves another ring now');
      this.#want = null;
    } else if (member && code === 6 && ++this.#strangers > 9) this.node.endLife('the registry does not know this process');
    else if (!member && ((code && ![2, 4, 10].includes(code)) || (status && status !== Status.role))) throw this.#final(err);
  }

  #final(err) {
    this.node.endLife(err.message);
    this.stopped = true;
    return err;
  }

  // register dials, and returns the connection once the registry has said Registered. Its promise
  // gone is for the end of it.
  async #register() {
    const { node } = this;
    const { security } = node;
    const member = node.life && !node.life.over ? node.life : null;
    const proves = security && (!security.admission || security.expired() !== this.#doubted);
    const life = proves ? null : member;
    const conn = await dial(node.registryAddr, hello({ role: Role.member, ring: node.ring }), {
      security, alpn: proves ? 'rdht-join/2' : 'rdht/2', check: (proof) => security.checkRegistry(proof),
    });
    this.addr = node.advertise ?? join(conn.socket.localAddress.replace(/^::ffff:/, ''), node.port);
    const table = life?.links.table;
    const own = { id: life?.id ?? this.#want ?? 0n, inc: life?.inc ?? 0n, identity: life?.identity ?? '' };
    const over = life ? [...life.gone].map(([id, g]) => ({ id, ...g })).filter((o) => !security || o.sig).slice(-64) : [];
    const register = () => control('Register', {
      addr: this.addr, other: node.advertise !== null, traffic: node.traffic,
      token: security ? 0n : node.token, seen: this.seen, want: !life && this.#want !== null, proof: proves ? security.proof(conn.socket) : '', ...own,
      epoch: table?.epoch ?? 0n, size: table?.size ?? 0, plan: table?.plan ?? 0, ready: life?.ready ?? false, run: life?.runs.run ?? 0n, over, every: life ? this.every : 0,
    });
    while (over.length && register().length > 4096) over.shift();
    conn.gone = new Promise((resolve) => {
      conn.onClose = () => {
        if (this.#conn === conn) this.#conn = null;
        resolve();
      };
    });
    conn.onBreach = (breach) => {
      node.log(`the registry broke ${breach.message}`);
      conn.error ??= breach;
      conn.finish(control('Violation', { code: BigInt(breach.rule), rule: `R${breach.rule}`, text: breach.message.slice(0, 500) }));
    };
    try {
      await new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error('the registry does not answer')), 15000);
        conn.gone.then(() => {
          clearTimeout(timer);
          reject(conn.error ?? new Error('the registry has closed the connection'));
        });
        conn.start((type, length) => checkControl(type, length, this.#conn === conn), (f) => this.#take(conn, life, parseControl(f), resolve, reject));
        conn.write(register());
      });
    } catch (err) {
      conn.finish();
      throw err;
    }
    return conn;
  }

  #take(conn, life, m, resolve, reject) {
    this.#heard = performance.now();
    if (!m) return;
    if (m.name === 'Violation') {
      this.node.log(`the registry says that this node broke ${JSON.stringify(m.rule)}: ${JSON.stringify(m.text)}`);
      return conn.destroy();
    }
    if (this.#conn === conn) return this.#message(conn, m);
    if (m.name === 'Refused') return reject(new Refused(m));
    if (m.name === 'Bye') return reject(new Error(`the registry closes: ${JSON.stringify(m.reason)}`));
    if (m.name !== 'Registered') throw new Breach(32, `${m.name} before Registered`);
    this.#registered(conn, life, m);
    resolve();
  }

  #registered(conn, life, m) {
    const { node } = this;
    const within = (n, low, high) => n >= low && n <= high;
    if (!within(m.bits, 1, 64) || !within(m.max_payload, 4, 8388608) || !within(m.hop_limit, 1, 65535) || !within(m.lease_ms, 1, 86400000)
      || m.id >> BigInt(m.bits) !== 0n || m.inc > 7n << 60n || m.epoch > 1n << 62n) throw new Breach(33, 'the terms of the ring are out of bounds');
    if (life && m.identity && life.identity && m.identity !== life.identity) return conn.destroy(new Error('this is the registry of another ring'));
    if (life && (m.bits !== life.bits || m.max_payload !== life.maxPayload)) {
      node.endLife('the registry has other terms');
      return conn.destroy();
    }
    if (life && (m.id !== life.id || m.inc !== life.inc)) throw new Breach(32, 'Registered is for another node');
    if (node.security) node.security.admit(m, m, conn.proof.key);
    Object.assign(this, { lease: m.lease_ms, late: 0 });
    if (m.inc <= MAX_INC && m.inc > this.seen) this.seen = m.inc;
    this.#conn = conn;
    this.#want = m.id;
    this.#beats = [];
    this.#answered = performance.now();
    this.#status = '';
    this.#doubted = false;
    this.#settled = !life;
    this.trusted = !node.security;
    if (life) {
      life.hopLimit = m.hop_limit;
      this.back = true;
      life.links.repeat();
      life.resume();
    } else {
      this.every = 1;
      node.begin(m);
    }
    this.beat();
    if (this.#deregistered) this.#deregister();
  }

  #message(conn, m) {
    const { node } = this;
    const { life, security } = node;
    if (!this.trusted && m.name !== 'Trust') throw new Breach(32, `${m.name} before Trust`);
    switch (m.name) {
      case 'BeatAnswer': return this.#beatAnswered(m);
      case 'Ping': return this.beat();
      case 'Manifest': case 'Update': case 'Announce': return this.#table(conn, life, m);
      case 'Ready':
        life.ready = true;
        return node.onReady();
      case 'Task': return life.leaving ? undefined : life.runs.task(m);
      case 'Collect': return life.runs.collect(m.run);
      case 'Explain': return life.runs.explain(m.run);
      case 'Trace': return this.#trace(life, m);
      case 'Bye':
        node.log(`the registry closes: ${JSON.stringify(m.reason)}`);
        return conn.finish();
      case 'Refused': return this.#refused(conn, m);
      case 'Deregistered':
        if (!this.#deregistered) throw new Breach(32, 'Deregistered without Deregister');
        return this.#deregistered.resolve();
      case 'Admission':
        if (!security) throw new Breach(32, 'an Admission in an open ring');
        return security.admit(m, life, conn.proof.key);
      case 'Trust':
        if (!security) throw new Breach(32, 'a Trust in an open ring');
        security.trust(m);
        this.trusted = true;
        return this.#obey();
    }
    throw new Breach(32, `${m.name} makes no sense now`);
  }

  #table(conn, life, m) {
    if (m.name === 'Manifest') {
      if (life.identity && m.identity !== life.identity) return conn.destroy(new Error('this is the registry of another ring'));
      if (this.back) life.isBack();
      this.back = false;
      life.manifest(m);
      life.identity = m.identity;
    } else if (m.name === 'Update') life.update(m);
    else life.announce(m);
    if (life.latest > this.seen) this.seen = life.latest;
  }

  #obey() {
    const { life, security } = this.node;
    if (security.isRevoked(security.key)) {
      this.stopped = true;
      this.node.expelled();
      return this.#conn?.destroy();
    }
    for (const link of [...life.links.all]) {
      if (link.conn.proof && security.isRevoked(link.conn.proof.key)) life.isGone(link, life.links.table.epoch, '');
    }
  }

  #refused(conn, m) {
    if (m.code === 8n || m.code === 13n) {
      if (this.#deregistered && m.code === 8n) return this.#deregistered.resolve();
      this.node.endLife('the registry has declared this node dead');
      if (m.code === 13n) {
        this.stopped = true;
        this.node.expelled();
      }
      return conn.finish();
    }
    if (this.#deregistered && m.code === 5n) return this.#deregistered.resolve();
    this.node.log(new Refused(m).message);
  }

  async #trace(life, { ask, to }) {
    const answer = { ask, hops: [], error: '', no_such_node: false };
    try {
      answer.hops = await life.trace(to);
    } catch (err) {
      Object.assign(answer, { error: err.message, hops: err.hops ?? [], no_such_node: err.noSuchNode ?? false });
    }
    answer.hops = answer.hops.map(({ id, elapsed }) => ({ id, elapsed_ns: elapsed }));
    this.send('Traced', answer);
  }

  // beat sends a heartbeat, with what the registry shows of the node if that has changed.
  beat() {
    const { life } = this.node;
    if (!this.#conn || !life) return;
    const c = life.count;
    const status = {
      epoch: life.links.table.epoch, members: life.members,
      counters: [c.sent, c.delivered, c.relayed, c.casts, c.retransmitted, c.duplicates, c.panics, c.detoured, 0, 0, c.full, c.linkDown, c.noRoute, c.hopLimit, c.overshoot, 0, c.stale, c.malformed, c.refused],
      hops: [], latency: [], took: 0, links: life.links.status(), streams: [life.sources.reduce((n, m) => n + m.size, 0), life.sinkCount, 0, 0], limits: [],
    };
    const text = JSON.stringify(status, (_, v) => (typeof v === 'bigint' ? String(v) : v));
    this.#beats.push(performance.now());
    this.send('Beat', { every: this.every, ...life.runs.progress, late_ms: Math.round(this.late), status: text === this.#status ? [] : [status] });
    this.#status = text;
    this.late = 0;
    this.nextBeat = performance.now() + (this.lease * this.every) / 3;
  }

  #beatAnswered({ every }) {
    if (!this.#beats.length) return;
    this.#answered = this.#beats.shift();
    this.every = Math.min(100, Math.max(1, every));
    this.nextBeat = Math.min(this.nextBeat, this.#answered + (this.lease * this.every) / 3);
    if (this.node.life.paused && this.#answered >= this.pausedAt) this.node.life.resume();
  }

  // pause is called when the process did not run for longer than a lease: it asks before it goes on (6.4).
  pause() {
    this.pausedAt = performance.now();
    this.#heard = this.pausedAt;
    this.node.life.paused = true;
    this.beat();
  }

  tick(now) {
    if (!this.#conn) return;
    if (now >= this.nextBeat) this.beat();
    if (now - this.#heard > this.lease * this.every + 8 * this.late) this.#conn.destroy(new Error('the registry is silent'));
  }

  // again ends this life, since a sink remembers a later one, and asks for a greater incarnation (6.5).
  again(remembered) {
    if (!this.#conn || !this.#settled || this.#deregistered || performance.now() - this.reborn < 2 * this.lease) return;
    this.reborn = performance.now();
    if (remembered <= MAX_INC && remembered > this.seen) this.seen = remembered;
    this.node.endLife('another node remembers a later life of this one');
    this.#conn.destroy();
  }

  // deregister takes the node out of all tables. It resolves when that is done, or cannot be.
  async deregister() {
    if (!this.node.life || this.node.life.over) return;
    await new Promise((resolve) => {
      this.#deregistered = { resolve };
      this.#deregister();
      setTimeout(resolve, 4 * this.lease);
    });
  }

  #deregister() { this.send('Deregister', { id: this.node.life.id, addr: this.addr }); }

  close() {
    this.stopped = true;
    this.#conn?.finish();
  }
}
