// The picture of the ring. The parts that stand still are drawn here, once an update;
// motion.js draws the moving parts on a canvas above.

import { $, set } from "./dom.js";
import { fit } from "./charts.js";
import { names } from "./format.js";
import { angle, bundled, bundles, chord, nearest, point, share, spread } from "./layout.js";
import { arrow, line, mark, sign, trace } from "./marks.js";
import { Motion } from "./motion.js";
import { blend, colour } from "./palette.js";
import { Words, describe } from "./words.js";

const TURN = 2 * Math.PI;
const ARCS = 48;
const NAMED = 12; // so many nodes in trouble are named in a large ring

// IDLE is what keepalives need: a link with less carries no traffic, so an idle ring is calm.
// Scales end no lower than LEAST_FLOW and LEAST_LOAD, so that little traffic looks little.
const IDLE = 100, LEAST_FLOW = 4000, LEAST_LOAD = 20; // bytes, bytes and messages a second

export class RingView {
  constructor(store, act) {
    this.store = store;
    this.act = act;
    this.canvas = $("ring");
    this.motion = new Motion($("motion"));
    this.selected = "";
    this.focused = "";
    this.hover = "";
    this.members = null; // the members that the layout is for
    this.route = null;
    this.words = new Words(store);
    this.idle = IDLE;
    this.listen();
  }

  listen() {
    const c = this.canvas;
    c.addEventListener("click", (e) => {
      const id = this.hit(e);
      if (id) this.focused = id;
      if (id && e.shiftKey && this.selected) this.act.routeTo(id);
      else if (id) this.act.select(id);
    });
    c.addEventListener("pointermove", (e) => this.point(this.hit(e)));
    c.addEventListener("pointerleave", () => this.point(""));
    c.addEventListener("focus", () => c.matches(":focus-visible") && this.step(0));
    c.addEventListener("blur", () => this.draw(this.route));
    c.addEventListener("keydown", (e) => {
      const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[e.key];
      if (by) this.step(by);
      else if (e.key === "Home") this.step(-Infinity);
      else if (e.key === "Enter" && this.focused) {
        if (e.shiftKey && this.selected) this.act.routeTo(this.focused);
        else this.act.select(this.focused);
      } else return;
      e.preventDefault();
    });
  }

  /** Moves the keyboard focus so many nodes on. */
  step(by) {
    this.lay();
    const all = this.nodes;
    if (!all.length) return;
    const at = all.findIndex((m) => m.id === (this.focused || this.selected));
    const next = all[by === -Infinity || at < 0 ? 0 : (at + by + all.length) % all.length];
    this.focused = next.id;
    if (by) set($("says"), describe(next, this.store));
    this.draw(this.route);
  }

  /** The ID of the node under the pointer, or "". */
  hit(e) {
    this.lay();
    const x = e.offsetX - this.middle, y = e.offsetY - this.middle, away = Math.hypot(x, y);
    if (!this.nodes.length || away < this.radius - 28 || away > this.radius + this.margin) return "";
    const i = nearest(this.angles, (Math.atan2(x, -y) + TURN) % TURN);
    const [nx, ny] = point(this.angles[i], this.radius, 0);
    const near = this.large ? Math.abs(Math.hypot(nx, ny) - away) < this.margin : Math.hypot(nx - x, ny - y) < this.margin;
    return near ? this.nodes[i].id : "";
  }

  point(id) {
    if (id === this.hover) return;
    this.hover = id;
    this.canvas.style.cursor = id ? "pointer" : "default";
    const tip = $("tip"), i = this.nodes.findIndex((m) => m.id === id);
    tip.hidden = i < 0;
    if (i >= 0) {
      set(tip, describe(this.nodes[i], this.store));
      const [x, y] = point(this.angles[i], this.radius * 0.82, this.middle);
      tip.style.left = `${x}px`;
      tip.style.top = `${y}px`;
    }
    this.draw(this.route);
  }

  recolour() {
    this.motion.recolour();
  }

  wake() {
    this.motion.wake();
  }

  /** Adopts the size of the parent, and returns whether it has changed. */
  resize() {
    const size = Math.round(this.canvas.parentElement.clientWidth);
    if (size === 0 || size === this.size) return false; // it is 0 until the style sheet is loaded
    this.size = size;
    this.members = null;
    return true;
  }

  /** Computes the layout, if the nodes have changed. */
  lay() {
    const { members, gone, ring } = this.store;
    if (this.members === members && this.gone === gone) return;
    if (!this.size) this.resize();
    this.members = members;
    this.gone = gone;
    this.large = bundled(members);
    this.middle = this.size / 2;
    const narrow = this.size < 480;
    this.bar = this.large ? this.size * 0.075 : 0;
    this.names = new Map();
    const ids = members.concat(gone).map((m) => m.id), cut = names(ids);
    ids.forEach((id, i) => this.names.set(id, cut[i]));
    this.letters = Math.min(20, cut.reduce((most, name) => Math.max(most, name.length), 1));
    this.margin = this.large ? this.bar + (narrow ? 10 : 18) : narrow ? 20 + 7 * this.letters : 24 + 8 * this.letters;
    this.radius = Math.max(20, this.middle - this.margin);
    const placed = members.concat(gone).map((m) => ({ m, at: angle(m.id, ring.bits) })).sort((a, b) => a.at - b.at);
    this.nodes = placed.map((n) => n.m);
    this.places = placed.map((n) => n.at);
    // In a small ring marks that would overlap move apart; a tick shows the true position.
    this.angles = this.large ? this.places : spread(this.places, () => (narrow ? 17 : 24) / this.radius);
    this.at = new Map(this.nodes.map((m, i) => [m.id, this.angles[i]]));
    this.memberAngles = members.map((m) => this.at.get(m.id));
    this.curves = this.large ? null : members.map((m, i) => m.entries.map((e) => chord(this.memberAngles[i], this.memberAngles[e], this.radius, this.middle)));
  }

  draw(route) {
    if (!this.store.ring) return;
    this.route = route;
    this.lay();
    if (!this.size) return;
    const g = fit(this.canvas, this.size, this.size);
    this.rim(g);
    const flows = this.large ? this.bundles(g) : this.chords(g);
    this.motion.fit(this.size);
    this.motion.flow(flows);
    this.entries(g);
    this.routes(g);
    this.degraded(g);
    if (this.large) this.bars(g);
    this.zero(g);
    this.marks(g);
    this.labels(g);
    this.words.say(this);
  }

  rim(g) {
    g.lineWidth = this.large ? 1 : 1.5;
    g.strokeStyle = colour("line");
    g.beginPath();
    g.arc(this.middle, this.middle, this.radius, 0, TURN);
    g.stroke();
    g.beginPath();
    for (let i = 0; i < 16; i++) { // sixteenths of the ID space, from 0
      const long = i === 0 ? 10 : i % 4 === 0 ? 6 : 3;
      g.moveTo(...point(i * TURN / 16, this.radius - 6, this.middle));
      g.lineTo(...point(i * TURN / 16, this.radius - 6 - long, this.middle));
    }
    g.stroke();
    if (!this.large) {
      g.beginPath();
      this.places.forEach((a, i) => {
        if (Math.abs(this.angles[i] - a) < 0.01) return;
        g.moveTo(...point(a, this.radius - 5, this.middle));
        g.lineTo(...point(a, this.radius + 5, this.middle));
      });
      g.strokeStyle = colour("soft");
      g.stroke();
    }
  }

  /** Draws each entry of a small ring. Returns the curves with traffic. */
  chords(g) {
    let most = 0;
    for (const m of this.members) for (const rate of m.links) most = Math.max(most, rate);
    this.widest = most;
    const flows = [];
    g.strokeStyle = colour("quiet", 0.55);
    g.lineWidth = 1;
    g.beginPath();
    this.members.forEach((m, i) => m.entries.forEach((_, at) => {
      const curve = this.curves[i][at], rate = m.links[at] ?? 0;
      if (rate > IDLE) flows.push({ curve, rate, part: share(rate, Math.max(most, LEAST_FLOW)) });
      else trace(g, curve);
    }));
    g.stroke();
    for (const f of flows) {
      g.strokeStyle = colour("flow", 0.25 + 0.45 * f.part);
      g.lineWidth = 0.8 + 4.2 * f.part;
      g.beginPath();
      trace(g, f.curve);
      g.stroke();
    }
    return flows;
  }

  /** Draws the entries of a large ring in bundles. Returns the bundles with traffic. */
  bundles(g) {
    const list = bundles(this.members, this.memberAngles, ARCS);
    let most = 0, many = 0;
    for (const b of list) {
      most = Math.max(most, b.rate);
      many = Math.max(many, b.entries);
    }
    this.widest = most;
    const flows = [];
    for (const b of list) {
      b.curve = chord(b.from, b.to, this.radius - 3, this.middle);
      b.part = share(b.rate, Math.max(most, LEAST_FLOW));
      const busy = b.rate > IDLE * b.entries;
      g.strokeStyle = busy ? colour("flow", 0.08 + 0.42 * b.part) : colour("quiet", 0.12 + 0.4 * share(b.entries, many));
      g.lineWidth = busy ? 0.6 + 4.4 * b.part : 0.5 + 1.5 * share(b.entries, many);
      g.beginPath();
      trace(g, b.curve);
      g.stroke();
      if (busy) flows.push(b);
    }
    return flows;
  }

  /** Draws the entries of the node under the pointer, or else of the selected node. */
  entries(g) {
    const i = this.store.byID.get(this.hover || this.selected);
    if (i === undefined || this.route) return;
    g.strokeStyle = colour("ink", 0.85);
    g.lineWidth = 1.6;
    g.beginPath();
    for (const e of this.members[i].entries) trace(g, chord(this.memberAngles[i], this.memberAngles[e], this.radius, this.middle));
    g.stroke();
    for (const e of this.members[i].entries) arrow(g, chord(this.memberAngles[i], this.memberAngles[e], this.radius, this.middle), colour("ink", 0.85), 6);
  }

  /** Draws the traced route, and the predicted route as dashes on top. */
  routes(g) {
    if (!this.route) return;
    const legs = (ids) => ids.slice(1).map((id, i) => [this.at.get(ids[i]), this.at.get(id)])
      .filter(([a, b]) => a !== undefined && b !== undefined && a !== b).map(([a, b]) => chord(a, b, this.radius, this.middle));
    g.lineCap = "round";
    for (const c of legs(this.route.path)) {
      g.strokeStyle = colour("card");
      g.lineWidth = 10;
      line(g, c);
      g.strokeStyle = colour("route");
      g.lineWidth = 6;
      line(g, c);
      arrow(g, c, colour("route"), 15);
    }
    g.lineCap = "butt";
    g.setLineDash([7, 6]);
    g.strokeStyle = colour("ink");
    g.lineWidth = 1.8;
    for (const c of legs(this.route.predicted)) line(g, c);
    g.setLineDash([]);
  }

  degraded(g) {
    g.setLineDash([5, 4]);
    g.strokeStyle = colour("odd");
    g.lineWidth = 2;
    for (const p of this.store.degraded.slice(0, 200)) {
      const a = this.at.get(p.from), b = this.at.get(p.to);
      if (a !== undefined && b !== undefined) line(g, chord(a, b, this.radius, this.middle));
    }
    g.setLineDash([]);
  }

  /** Draws how much the nodes of a large ring relay, as bars outside, in a few strokes. */
  bars(g) {
    const most = this.most(), steps = 6, paths = Array.from({ length: steps + 1 }, () => new Path2D());
    this.members.forEach((m, i) => {
      const s = m.relayRate / most, path = paths[Math.round(steps * s)], a = this.memberAngles[i];
      path.moveTo(...point(a, this.radius, this.middle));
      path.lineTo(...point(a, this.radius + 3 + this.bar * s, this.middle));
    });
    g.lineWidth = Math.max(1, Math.min(4, 0.7 * TURN * this.radius / this.members.length));
    paths.forEach((path, s) => {
      g.strokeStyle = s ? blend("flow", "load", s / steps) : colour("soft");
      g.stroke(path);
    });
  }

  most() {
    let most = 0;
    for (const m of this.members) most = Math.max(most, m.relayRate);
    this.fullest = most;
    return Math.max(LEAST_LOAD, most);
  }

  marks(g) {
    const most = this.most();
    const odd = this.store.odd;
    const size = this.large ? 5.5 : this.size < 480 ? 6 : 8;
    this.nodes.forEach((m, i) => {
      const [x, y] = point(this.angles[i], this.radius, this.middle);
      const part = m.when === undefined ? share(m.relayRate, most) : 0;
      if (!this.large || m.state !== "active" && m.state !== "registered") {
        mark(g, x, y, size + (this.large ? 0 : 5 * part), m.state, part);
      }
      if (odd.has(m.id)) sign(g, ...point(this.angles[i], this.radius - size - 9, this.middle));
      const now = m.id === this.focused && this.canvas.matches(":focus-visible");
      if (now || m.id === this.selected) {
        g.strokeStyle = colour("ink");
        g.lineWidth = 2;
        g.setLineDash(now ? [3, 3] : []);
        g.beginPath();
        g.arc(x, y, size + 8, 0, TURN);
        g.stroke();
        g.setLineDash([]);
      }
    });
  }

  /** Draws where ID 0 is, and which way IDs grow. */
  zero(g) {
    g.font = "11px system-ui, sans-serif";
    g.textAlign = "center";
    g.strokeStyle = colour("card", 0.9);
    g.lineWidth = 4;
    g.lineJoin = "round";
    g.strokeText("0 ↻", this.middle, this.middle - this.radius + 30);
    g.fillStyle = colour("soft");
    g.fillText("0 ↻", this.middle, this.middle - this.radius + 30);
  }

  /** Draws the labels: all IDs of a small ring; of a large one, those of named. */
  labels(g) {
    const named = this.large ? this.named() : this.nodes.map((_, i) => i);
    const away = this.large ? this.radius * 0.88 : this.radius + 20;
    const at = spread(named.map((i) => this.angles[i]), (a) => (15 + 6.5 * this.letters * Math.cos(a) ** 4) / away);
    g.font = `${this.size < 480 ? 11 : 13}px system-ui, sans-serif`;
    g.textBaseline = "middle";
    named.forEach((i, place) => {
      const m = this.nodes[i], a = at[place], side = Math.sin(a);
      const [x, y] = point(a, away + (this.large ? 0 : 8 * Math.cos(a) ** 2), this.middle); // a line of text is wider than high
      const text = this.names.get(m.id);
      g.textAlign = Math.abs(side) < 0.2 ? "center" : (side > 0) === !this.large ? "left" : "right";
      if (this.large) {
        g.strokeStyle = colour("card", 0.9);
        g.lineWidth = 4;
        g.lineJoin = "round";
        g.strokeText(text, x, y);
      }
      g.fillStyle = m.when === undefined ? colour("ink", m.id === this.selected || m.id === this.hover ? 1 : 0.8) : colour(m.state === "dead" ? "bad" : "soft");
      g.fillText(text, x, y);
    });
    g.textBaseline = "alphabetic";
  }

  named() {
    const ids = new Set([this.selected, this.hover, this.focused, ...this.route ? [...this.route.path, ...this.route.predicted] : [], ...this.trouble().map((m) => m.id)]);
    return this.nodes.flatMap((m, i) => ids.has(m.id) ? [i] : []);
  }

  /** The nodes in trouble that have a label in a large ring. */
  trouble() {
    const bad = (m) => m.when !== undefined || m.state === "suspect" || m.state === "stuck" || m.state === "leaving" || this.store.odd.has(m.id);
    return this.gone.toReversed().concat(this.members.filter(bad)).slice(0, NAMED);
  }

  /** Where a node is drawn in the picture, in pixels; undefined if it is not. */
  placeOf(id) {
    this.lay();
    const a = this.at.get(id);
    return a === undefined ? undefined : point(a, this.radius, this.middle);
  }

  /** Shows events as circles around their nodes. */
  happened(events) {
    this.lay();
    for (const e of events.slice(-60)) {
      const tone = { joined: "good", dead: "bad", left: "soft", suspect: "warn", back: "good" }[e.kind];
      if (tone) this.motion.pulse(point(this.at.get(e.id) ?? angle(e.id, this.store.ring.bits), this.radius, this.middle), tone, e.kind === "dead" || e.kind === "left");
    }
  }
}
