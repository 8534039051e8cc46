// The page's state of the ring, built from the updates of /events; protocol.go describes
// them. Pure.

import { count, duration, whole } from "./format.js";

export const STATES = ["registered", "linking", "active", "suspect", "leaving", "stuck"];

/** The kinds of events in groups, for the filter. What is in none is in "other". */
export const GROUPS = {
  membership: ["joined", "ready", "left"],
  trouble: ["suspect", "dead", "back", "degraded", "healed", "led around", "relays", "left out", "counts again", "other ring"],
  security: ["expelled", "refused", "security"],
  "set-ups and runs": ["set up", "rebuilt", "run started", "run ended"],
};

/** The group of a kind of events. */
export const groupOf = (kind) => Object.keys(GROUPS).find((g) => GROUPS[g].includes(kind)) ?? "other";

/** Whether an event is in a group, "" for all, and about a node whose ID or address has the text. */
export function passes(e, group, text) {
  if (group && groupOf(e.kind) !== group) return false;
  return !text || ofNode(e) && (e.id.startsWith(text) || e.addr.toLowerCase().includes(text)) || e.other !== "0" && e.other.startsWith(text);
}

const MAX_EVENTS = 512;

export function empty() {
  return {
    t: 0, ring: null, members: [], gone: [], degraded: [], sidelined: [], security: null, keys: [], arcs: [], odd: new Map(), total: {}, hops: [], latency: [[], 0], flow: [0, 0, 0, 0],
    running: null, runs: [], events: [], byID: new Map(),
  };
}

/**
 * Applies an update, and returns the changes: {members: whether the list has changed, rows:
 * the indices of the rows that have changed, events: the new events, history: samples of the
 * past, has(part)}.
 */
export function apply(s, u) {
  const first = "history" in u;
  s.t = u.t;
  if (u.members) {
    s.members = u.members.map(([id, addr, incarnation, joined, entries, name = ""]) => ({
      id, addr, incarnation, joined, entries, name, state: "registered",
      sent: 0, delivered: 0, relayed: 0, queued: 0, rate: 0, relayRate: 0, links: [],
    }));
    s.byID = new Map(s.members.map((m, i) => [m.id, i]));
  }
  const rows = [];
  for (const [i, state, sent, delivered, relayed, queued, rate, relayRate, links] of u.rows ?? []) {
    const m = s.members[i];
    if (!m) continue;
    m.state = STATES[state] ?? "registered";
    m.sent = sent;
    m.delivered = delivered;
    m.relayed = relayed;
    m.queued = queued;
    m.rate = rate;
    m.relayRate = relayRate;
    m.links = links;
    rows.push(i);
  }
  if (u.gone) {
    s.gone = u.gone.map(([id, addr, incarnation, state, when, why, heard, sent, delivered, relayed]) =>
      ({ id, addr, incarnation, state, when, why, heard, sent, delivered, relayed }));
  }
  if (u.degraded) {
    s.degraded = u.degraded.map(([from, to, why]) => ({ from, to, why }));
    s.odd = new Map();
    for (const p of s.degraded) for (const id of [p.from, p.to]) s.odd.set(id, (s.odd.get(id) ?? 0) + 1);
  }
  if (u.sidelined) s.sidelined = u.sidelined.map(([id, why]) => ({ id, why }));
  for (const part of ["ring", "security", "keys", "arcs", "total", "hops", "latency", "flow", "running", "runs"]) {
    if (part in u) s[part] = u[part] ?? (part === "hops" || part === "runs" ? [] : null);
  }
  const events = (u.events ?? []).map(([seq, t, kind, epoch, id, addr, incarnation, other, why]) =>
    ({ seq, t, kind, epoch, id, addr, incarnation, other, why }));
  s.events = first ? events : s.events.concat(events).slice(-MAX_EVENTS);
  return { first, members: !!u.members, rows, events, history: u.history ?? [], has: (part) => part in u };
}

const BY_URGENCY = ["dead", "suspect", "stuck", "detour", "leaving", "left", "linking", "registered", "active"];

/** The numbers of nodes by state, those that are gone too, and of pairs with a detour. */
export function census(s) {
  const counts = new Map(BY_URGENCY.map((state) => [state, 0]));
  for (const m of s.members.concat(s.gone)) counts.set(m.state, (counts.get(m.state) ?? 0) + 1);
  counts.set("detour", s.degraded.length);
  return new Map([...counts].filter(([, n]) => n > 0));
}

/** The size and plan of the tables. A registry that rebuilds the membership does not know them yet. Pure. */
export function tables({ live, entries, plan, missing }) {
  if (!live) return "not set up";
  if (entries === 0 && missing.length > 0) return "–";
  return `${count(entries, "entry").replace("entrys", "entries")}, ${plan}`;
}

/** What to know if members of another ring of this name ask to come back here; else "". Pure. */
export function rivals({ others, other, name, lease }) {
  if (!(others > 0)) return "";
  const one = others === 1;
  return `${count(others, "node")} of another ring named “${name}” (${other.slice(0, 8)}) ${one ? "asks" : "ask"} to come back here, and ${one ? "is" : "are"} refused: ` +
    `that ring has, or had, a registry of its own. Use one registry. If the other is gone, ${one ? "the node joins as a new one" : "the nodes join as new ones"} after ${duration(20e6 * lease)}.`;
}

/**
 * The condition of the ring as {tone, text}. It is good only if nothing needs attention: a
 * dead node counts for as long as it is shown.
 */
export function condition(s) {
  const n = census(s), trouble = [];
  for (const state of ["dead", "suspect", "stuck"]) if (n.has(state)) trouble.push(`${whole(n.get(state))} ${state}`);
  if (s.sidelined.length) trouble.push(`${whole(s.sidelined.length)} led around`);
  if (n.has("detour")) trouble.push(count(n.get("detour"), "detour"));
  if (s.ring.others > 0) trouble.push("other ring");
  const waits = s.ring.live && s.ring.missing.length > 0;
  const tone = n.has("dead") ? "bad" : trouble.length || waits ? "warn" : s.ring.live ? "good" : "wait";
  const words = trouble.concat(waits ? "changing" : []);
  if (!s.ring.live) words.unshift(s.members.length ? "not set up" : "no nodes yet");
  return { tone, text: words.join(", ") || "live" };
}

/** What keeps a secure ring closed, in a line. Pure. */
export function lock(s) {
  const parts = [`Encrypted; key ${s.key.slice(0, 8)}, ${s.kept ? "kept on disk" : "in memory only: nodes need a new join line after a restart"}`];
  if (s.old_key) parts.push(`the key before, ${s.old_key.slice(0, 8)}, is still trusted`);
  parts.push(s.refused ? `${whole(s.refused)} refused` : "none refused");
  if (s.expelled_all) parts.push(`${whole(s.expelled_all)} expelled`);
  return `${parts.join("; ")}.`;
}

/** Whether an event is about one node. */
export const ofNode = (e) => e.incarnation !== "0";

/** An event as a sentence. */
export function sentence(e) {
  switch (e.kind) {
    case "degraded": return `${e.id} cannot reach ${e.other}: messages take a detour`;
    case "healed": return `${e.id} reaches ${e.other} again`;
    case "led around": return `routes lead around ${e.id}, which passes nothing on`;
    case "relays": return `routes lead through ${e.id} again`;
    case "joined": case "left": return `${e.id} ${e.kind}`;
    case "ready": case "dead": case "suspect": case "back": return `${e.id} is ${e.kind}`;
    case "expelled": case "security": return e.why || (ofNode(e) ? `${e.id} is expelled` : "the security has changed");
    case "left out": return `${e.id} makes no progress: nothing waits for it`;
    case "counts again": return `${e.id} makes progress again`;
    case "other ring": return `${e.id} of another ring asks to come back, and is refused`;
    case "rebuilt": return "the membership is rebuilt";
    case "set up": return "the overlay is set up";
    case "run started": return "a run has started";
    case "run ended": return e.why || "a run has ended";
  }
  return ofNode(e) ? `${e.id}: ${e.kind}` : e.kind;
}

/**
 * The announcement of an update's events for screen readers: events that people act on one by
 * one, many of a kind as a number.
 */
export function announcement(events) {
  const say = [], crowds = new Map();
  for (const e of events) {
    if (["joined", "left", "dead", "suspect", "other ring"].includes(e.kind)) crowds.set(e.kind, [...crowds.get(e.kind) ?? [], e]);
    else if (["run ended", "set up", "rebuilt", "degraded", "led around", "left out", "counts again"].includes(e.kind)) say.push(sentence(e));
  }
  for (const [kind, all] of crowds) {
    say.push(all.length < 4 ? all.map(sentence).join(", ") : `${all.length} nodes: ${kind}`);
  }
  return say.slice(0, 6).join(". ");
}
