// Tables and next hops (sections 7 and 9). Nothing here sends or waits.
import { Breach } from './wire.mjs';

// distance is the way from a to b, clockwise. mask is 2^bits - 1.
export const distance = (a, b, mask) => (b - a) & mask;

// key names one life of a node.
export const key = ({ id, inc }) => `${id}/${inc}`;

// Table is what the registry said last. It does not change: manifest and update return another.
export class Table {
  constructor(self, mask, told = {}) {
    Object.assign(this, { self, mask, epoch: 0n, members: 0, size: 0, plan: 0, entries: [], successors: [], detours: [], hold: [], stubs: [] }, told);
  }

  manifest(m) {
    const { epoch, members, size, plan, entries, successors, detours, hold, stubs } = m;
    return this.#next({ epoch, members, size, plan, entries, successors, detours, hold, stubs });
  }

  update(u) {
    if (u.entries < 0 || u.entries > 1024) throw new Breach(34, `a table of ${u.entries} entries`);
    const entries = Array.from({ length: u.entries }, (_, i) => this.entries[i]);
    for (const { at, ...peer } of u.slots) {
      if (at < 0 || at >= u.entries) throw new Breach(34, `slot ${at} of ${u.entries}`);
      entries[at] = peer;
    }
    if (entries.includes(undefined)) throw new Breach(34, 'an entry is missing');
    return this.#next({
      epoch: u.epoch, members: u.members, size: this.size, plan: this.plan, entries,
      successors: u.new_successors ? u.successors : this.successors,
      detours: u.new_detours ? u.detours : this.detours,
      hold: u.new_detours ? u.hold : this.hold,
      stubs: u.new_stubs ? u.stubs : this.stubs,
    });
  }

  #next(told) {
    if (told.epoch <= this.epoch || told.epoch > 1n << 62n) throw new Breach(34, `epoch ${told.epoch} after ${this.epoch}`);
    for (const list of [told.entries, told.successors, told.stubs]) {
      let last = 0n;
      for (const { id, inc } of list) {
        const d = distance(this.self, id, this.mask);
        if (id > this.mask || d <= last || inc > 7n << 60n) throw new Breach(34, `node ${id} is out of order`);
        last = d;
      }
    }
    for (const d of told.detours) {
      if ([d.to, d.id].some((id) => id > this.mask || id === this.self)) throw new Breach(34, `a detour to ${d.to} by ${d.id}`);
    }
    return new Table(this.self, this.mask, told);
  }

  // wanted lists the peers to keep links to. state says of one whether its link is up, untried or failed.
  wanted(state) {
    const near = this.successors.findIndex((p) => state(p) !== 'failed');
    const first = this.successors.slice(0, near < 0 ? undefined : near + 1);
    const all = [...this.entries, ...first, ...this.detours, ...this.hold, ...this.stubs];
    return [...new Map(all.map((p) => [key(p), p])).values()];
  }
}

export const NO_NODE = { link: null, detour: false }; // the way to an ID that no node has

// Routes are the ways that stand now. A way is a link, and whether it begins a detour.
export class Routes {
  // linkTo returns the link to a peer, if it is up. Of a table that is not in use yet, those before are kept.
  constructor(table, linkTo, kept = []) {
    const { self, mask } = table;
    this.table = table;
    const ways = (peers, detour = false) => peers.map((p) => ({ id: p.to ?? p.id, link: linkTo(p), detour })).filter((w) => w.link);
    const ahead = [...ways(table.entries), ...ways(table.successors), ...kept.filter((w) => w.link.mine === 'open')];
    this.candidates = [...new Map(ahead.map((w) => [w.link, w])).values()].map((w) => ({ ...w, far: distance(self, w.id, mask) }));
    this.candidates.sort((a, b) => (a.far < b.far ? -1 : 1));
    this.detours = new Map(ways(table.detours, true).map((w) => [w.id, w]));
    this.stubs = new Map(table.stubs.map((p) => [p.id, null]));
    for (const w of ways(table.stubs)) this.stubs.set(w.id, w);
    this.near = table.successors.length ? distance(self, table.successors[0].id, mask) : null; // null: alone
  }

  // next decides: a way, NO_NODE, or null to drop the frame.
  next(dst, authoritative) {
    const { self, mask } = this.table;
    const far = (dst - self) & mask;
    for (let i = this.candidates.length - 1; i >= 0; i--) if (this.candidates[i].far <= far) return this.candidates[i];
    if (this.stubs.has(dst)) return this.detours.get(dst) ?? this.stubs.get(dst);
    if (this.near === null || far < this.near) return authoritative ? NO_NODE : null;
    return this.detours.get(dst) ?? null;
  }
}
