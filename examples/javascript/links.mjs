// Links to peers, and from them (sections 4 and 7.2).
import { Breach, HEADER, Type, frame } from './wire.mjs';
import { Routes, key } from './routing.mjs';

const QUEUE = 4 << 20; // bytes that wait for one connection; more are dropped, and sent again by their sources

// Link is one connection with a peer. Each direction is unused, open, or ended.
export class Link {
  constructor(links, conn, peer, dialled) {
    Object.assign(this, { links, conn, id: peer.id, inc: peer.inc, dialled, since: Date.now() });
    this.mine = dialled ? 'open' : 'unused';
    this.theirs = dialled ? 'unused' : 'open';
    this.done = new Promise((resolve) => { this.#finished = resolve; }); // my direction has ended
    this.closed = new Promise((resolve) => { this.#closed = resolve; });
    conn.onClose = () => {
      this.#closed();
      this.mine = this.theirs = 'ended';
      this.#finished();
      links.closed(this);
    };
    conn.onBreach = (breach) => {
      links.host.log(`node ${this.id} broke ${breach.message}`);
      const rule = Buffer.from(`R${breach.rule}`);
      const body = Buffer.concat([Buffer.of(rule.length), rule, Buffer.from(breach.message).subarray(0, 500)]);
      conn.finish(frame(Type.Violated, { seq: BigInt(breach.rule), body }));
    };
    conn.start((type, length) => this.#check(type, length), (f) => this.#take(f));
  }

  #finished;
  #closed;

  #check(type, length) {
    if (type === 0 || type >= 0x40 || (type > Type.Violated && type < 0x20)) throw new Breach(10, `a frame of type 0x${type.toString(16)}`);
    if (length + 4 > this.links.host.longest) throw new Breach(11, 'the frame is too long');
    if (length + 4 < HEADER) throw new Breach(12, 'the frame has no whole header');
  }

  #take(f) {
    const type = f[0];
    if (type >= 0x30) return void this.links.host.count.unknown++;
    if (type === Type.Violated) return this.#violated(f);
    if (type < Type.Ping || type > Type.End) {
      if (this.theirs !== 'open') throw new Breach(20, 'a frame in a direction that is not open');
      return this.links.host.receive(f, this);
    }
    if (f.length !== HEADER || !f.subarray(4, 24).every((b) => b === 0)) throw new Breach(21, 'a frame of the connection has only seq');
    if (type === Type.Pong) throw new Breach(23, 'a Pong without a Ping');
    if (type === Type.Shared) throw new Breach(25, 'Shared without Share');
    if (type === Type.Share) {
      if (!this.dialled || this.theirs !== 'unused') throw new Breach(24, 'Share comes once, from the accepting side');
      if (this.mine !== 'open') return;
      this.theirs = 'open';
      this.links.incoming.add(this);
      return this.conn.write(frame(Type.Shared, {}));
    }
    if (this.theirs !== 'open') throw new Breach(20, 'a frame in a direction that is not open');
    if (type === Type.Ping) return this.conn.write(frame(Type.Pong, { seq: f.readBigUInt64BE(24) }), true);
    this.theirs = 'ended';
    this.links.incoming.delete(this);
    if (this.mine !== 'open') setImmediate(() => this.conn.finish()); // behind the frames that came with it
    this.links.ended();
  }

  #violated(f) {
    const [n, body] = [f[HEADER] ?? 0, f.subarray(HEADER + 1)];
    this.links.host.log(`node ${this.id} says that this one broke ${JSON.stringify(body.toString('utf8', 0, n))}: ${JSON.stringify(body.toString('utf8', n, n + 500))}`);
    this.conn.destroy();
  }

  // send queues a frame, or returns false if there is no room.
  send(f) {
    if (this.mine !== 'open' || this.conn.queued > QUEUE) return false;
    this.conn.write(f);
    return true;
  }

  // end ends my direction, behind what it holds.
  end() {
    if (this.mine !== 'open') return;
    this.conn.write(frame(Type.End, {}));
    this.mine = 'ended';
    this.#finished();
    if (this.theirs === 'ended') this.conn.finish();
    else if (this.theirs === 'unused') setTimeout(() => this.conn.destroy(), 10000).unref();
  }
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms * (0.5 + Math.random() / 2)).unref());

// Links keeps a link to each peer that the table names, and tells the registry which it cannot have.
// The host dials, receives frames, and passes on trouble and linked.
export class Links {
  #peers = new Map(); // by key
  #confirmed = ''; // epoch and failures of the last Linked
  #kept = []; // ways of the table before, until Linked

  constructor(host, table) {
    Object.assign(this, { host, table, routes: new Routes(table, () => null), incoming: new Set(), all: new Set(), stopped: false, onEnded: () => {} });
  }

  #state(p) {
    const peer = this.#peers.get(key(p));
    return peer?.link ? 'up' : peer?.error ? 'failed' : 'untried';
  }

  // set puts another table into use.
  set(table) {
    this.#kept = [...this.#kept, ...this.routes.candidates, ...[...this.routes.stubs.values()].filter(Boolean)];
    this.table = table;
    for (const p of table.wanted((p) => this.#state(p))) {
      const peer = this.#peers.get(key(p));
      if (peer?.error) this.host.trouble(peer, peer.error); // again with each epoch (R53)
    }
    this.#look();
  }

  // repeat tells a registry that may have forgotten it.
  repeat() {
    for (const peer of this.#peers.values()) if (peer.error) this.host.trouble(peer, peer.error);
  }

  #look() {
    if (this.stopped) return;
    const wanted = new Map(this.table.wanted((p) => this.#state(p)).map((p) => [key(p), p]));
    for (const [k, p] of wanted) {
      const peer = this.#peers.get(k);
      if (peer) Object.assign(peer, { wanted: true, addr: p.addr });
      else this.#add(k, { id: p.id, inc: p.inc, addr: p.addr, wanted: true, link: null, error: '', until: 0 });
    }
    const failed = [...wanted.values()].filter((p) => this.#state(p) === 'failed');
    const settled = this.table.epoch > 0n && [...wanted.values()].every((p) => this.#state(p) !== 'untried');
    if (settled) this.#kept = [];
    this.routes = new Routes(this.table, (p) => this.#peers.get(key(p))?.link, this.#kept);
    if (!settled) return;
    const text = failed.map((p) => `${p.id}: ${this.#peers.get(key(p)).error}`).join('; ').slice(0, 500);
    if (this.#confirmed !== `${this.table.epoch} ${text}`) this.host.linked(this.table.epoch, text);
    this.#confirmed = `${this.table.epoch} ${text}`;
    for (const [k, peer] of this.#peers) {
      if (wanted.has(k)) continue;
      if (peer.wanted) Object.assign(peer, { wanted: false, until: Date.now() + 30000 });
      peer.link?.end();
    }
  }

  #add(k, peer) {
    this.#peers.set(k, peer);
    this.#keep(k, peer);
  }

  // keep dials a peer as long as it is wanted; one that failed, for 30 seconds more.
  async #keep(k, peer) {
    const needed = () => !this.stopped && !peer.gone && (peer.wanted || (peer.error && Date.now() < peer.until));
    for (let wait = 50; needed(); wait = Math.min(2 * wait, 5000)) {
      let stood = 0;
      try {
        const link = new Link(this, await this.host.dialPeer(peer), peer, true);
        this.all.add(link);
        if (this.stopped || peer.gone) {
          link.conn.destroy();
          break;
        }
        peer.link = link;
        if (peer.error) this.host.trouble(peer, '');
        peer.error = '';
        this.#look();
        await link.done;
        peer.link = null;
        stood = Date.now() - link.since;
      } catch (err) {
        if (!peer.error && !this.stopped) this.host.trouble(peer, err.message);
        peer.error = err.message || 'no connection';
      }
      this.#look();
      if (stood > 1000) wait = 25; // and it is dialled again at once
      else if (needed()) await sleep(wait);
    }
    this.#peers.delete(k);
  }

  accept(conn, from) {
    const link = new Link(this, conn, from, false);
    this.incoming.add(link);
    this.all.add(link);
  }

  closed(link) {
    this.all.delete(link);
    this.incoming.delete(link);
    this.ended();
  }

  ended() { if (!this.incoming.size) this.onEnded(); }

  // to returns a link to a node with this ID, for a frame on a detour.
  to(id) {
    for (const peer of this.#peers.values()) if (peer.id === id && peer.link) return peer.link;
    return null;
  }

  // gone ends the links with lives that are over.
  gone(isOver) {
    for (const peer of this.#peers.values()) if (isOver(peer)) peer.gone = true;
    for (const link of [...this.all]) if (isOver(link)) link.conn.destroy();
  }

  // stop ends all links at once.
  stop() {
    this.stopped = true;
    for (const link of [...this.all]) link.conn.destroy();
  }

  noneIncoming() { return this.incoming.size ? new Promise((resolve) => { this.onEnded = resolve; }) : null; }

  // endAll ends this node's links in good order, and waits until they have written what they held.
  endAll() {
    this.stopped = true;
    for (const link of this.all) link.end();
    return Promise.all([...this.all].map((l) => l.closed));
  }

  // status is what a Beat says of each link: ID, whether it is up, bytes written, bytes queued.
  status() { return [...this.#peers.values()].slice(0, 1024).flatMap((p) => [p.id, p.link ? 1 : 0, p.link?.conn.socket.bytesWritten ?? 0, p.link?.conn.queued ?? 0]); }
}
