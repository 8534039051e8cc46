// Services with keys: which owner holds which arc of the ring of keys, and the moves under way.

import { make, set } from "./dom.js";
import { count, duration, percent, short, whole } from "./format.js";
import { colour } from "./palette.js";

/** The colours of owners, in turn. */
const TONES = ["flow", "load", "good", "odd", "quiet", "route", "bad"];

export const tone = (owner) => TONES[owner % TONES.length];

/** How long a move may take, in ms, before it is shown as trouble. */
const SLOW = 60_000;

/** A ring of keys as arcs, as shares of a turn: {from, to, owner, receiver}. Without an owner it is -1. Pure. */
export function arcs(sectors) {
  const all = [];
  let at = 0;
  for (let i = 0; i + 2 < sectors.length; i += 3) {
    const [owner, receiver, length] = sectors.slice(i, i + 3);
    all.push({ from: at, to: at + length, owner, receiver });
    at += length;
  }
  for (const a of all) {
    a.from /= at;
    a.to /= at;
  }
  return all;
}

/** The arc at a place of the picture, or undefined. x and y are from the middle, in radii. Pure. */
export function arcAt(all, x, y) {
  const r = Math.hypot(x, y);
  if (r > 1 || r < INNER) return undefined;
  const turn = (Math.atan2(x, -y) / (2 * Math.PI) + 1) % 1;
  return all.find((a) => a.from <= turn && turn < a.to);
}

/** What a service does, in sentences: [text, tone] each. Pure. */
export function says(k, t) {
  const all = [[`${count(k.owners_all, "owner")}, ${count(k.arcs, "arc")}, ${count(k.keys, "key")} with a state${k.sources ? `; ${count(k.sources, "member")} only ${k.sources === 1 ? "sends" : "send"}` : ""}.`, ""]];
  all.push([`${whole(k.handled)} handled, ${whole(k.refused)} refused, ${whole(k.unknown)} of unknown outcome.`, ""]);
  if (k.moved) {
    all.push([`${count(k.moved, "move")} done: half within ${duration(k.half)}, 99 % within ${duration(k.most)}, the longest took ${duration(k.longest)}.`, ""]);
  }
  if (k.void) all.push([`${count(k.void, "move")} ended with the death of an owner.`, ""]);
  if (k.recovering) all.push(["The registry waits until all members have said what they hold: no arc moves.", "warn"]);
  else if (k.free > 0) all.push([`${percent(k.free)} of the ring has no owner: messages there wait.`, "warn"]);
  if (k.moving) all.push([`${count(k.moving, "move")} under way: marked in the picture, with the owner outside and the next one inside.`, k.moves.some((m) => slow(m, t)) ? "warn" : ""]);
  return all;
}

/** The moves from one owner to another in words. Pure. */
export function moving([from, to, moves, share, since], t) {
  const s = Math.max(0, Math.round((t - since) / 1000));
  return `${from} → ${to}: ${count(moves, "move")}, ${percent(share)} of the ring, for ${s < 60 ? `${s} s` : duration(s * 1e9)}`;
}

/** Whether one of these moves takes long. Pure. */
const slow = ([, , , , since], t) => t - since >= SLOW;

const SIZE = 190; // pixels of the style sheet
const INNER = 0.62, MIDDLE = 0.82; // radii

/** The card of keys. pick is called with the ID of an owner. */
export class Keys {
  constructor(pick) {
    this.pick = pick;
    this.card = document.getElementById("keys");
    this.list = document.getElementById("keys-list");
    this.shown = []; // for each service {name, parts of the document}
    this.selected = "";
  }

  /** Draws what has changed. */
  draw(store, change) {
    if (change.has("keys")) {
      this.card.hidden = store.keys.length === 0;
      const same = store.keys.length === this.shown.length && store.keys.every((k, i) => k.service === this.shown[i].name);
      if (!same) {
        this.shown = store.keys.map((k) => this.make(k.service));
        this.list.replaceChildren(...this.shown.map((s) => s.box));
      }
      store.keys.forEach((k, i) => this.table(this.shown[i], k));
    }
    store.keys.forEach((k, i) => this.words(this.shown[i], k, store.t));
    if (change.has("arcs") || change.has("keys")) {
      store.keys.forEach((k, i) => {
        this.shown[i].owners = store.arcs[i]?.owners ?? [];
        this.shown[i].arcs = arcs(store.arcs[i]?.sectors ?? []);
      });
      this.redraw();
    }
  }

  /** Marks the arcs of a node, "" for none. */
  select(id) {
    this.selected = id;
    this.redraw();
  }

  make(name) {
    const s = { name, owners: [], arcs: [] };
    s.canvas = make("canvas", { class: "keyring", role: "img", width: SIZE, height: SIZE });
    s.canvas.addEventListener("mousemove", (e) => this.hover(s, e));
    s.canvas.addEventListener("click", (e) => {
      const a = this.under(s, e);
      if (a && a.owner >= 0) this.pick(s.owners[a.owner]);
    });
    s.says = make("div", { class: "keysays" });
    s.rows = make("tbody");
    s.moves = make("ul", { class: "keymoves" });
    const heads = [["owner"], ["share", "n"], ["arcs", "n"], ["keys", "n"], ["handled", "n"]];
    s.more = make("p", { class: "hint" });
    s.box = make("div", { class: "keyspace", "data-service": name },
      make("h3", {}, name), s.says,
      make("div", { class: "keyrow" }, s.canvas,
        make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": `Owners of ${name}` },
          make("table", { class: "keyowners" }, make("thead", {}, make("tr", {}, ...heads.map(([h, c]) => make("th", { scope: "col", class: c }, h)))), s.rows), s.more)),
      s.moves);
    return s;
  }

  table(s, k) {
    s.rows.replaceChildren(...k.owners.map(([id, name, share, held, keys, handled], i) =>
      make("tr", { "data-owner": id, class: id === this.selected && "selected" },
        make("th", { scope: "row" },
          make("i", { class: `dot ${tone(i)}`, "aria-hidden": "true" }),
          make("button", { type: "button", class: "link", click: () => this.pick(id) }, name ? `${id} ${name}` : id)),
        make("td", { class: "n" }, percent(share)), make("td", { class: "n" }, whole(held)),
        make("td", { class: "n", title: whole(keys) }, short(keys)), make("td", { class: "n", title: whole(handled) }, short(handled)))));
    set(s.more, k.owners_all > k.owners.length ? `and ${whole(k.owners_all - k.owners.length)} more` : "");
  }

  words(s, k, t) {
    const texts = says(k, t);
    while (s.says.children.length > texts.length) s.says.lastChild.remove();
    while (s.says.children.length < texts.length) s.says.append(make("p"));
    texts.forEach(([text, mood], i) => {
      set(s.says.children[i], text);
      s.says.children[i].className = mood;
    });
    s.moves.hidden = k.moves.length === 0;
    while (s.moves.children.length > k.moves.length) s.moves.lastChild.remove();
    while (s.moves.children.length < k.moves.length) s.moves.append(make("li"));
    k.moves.forEach((m, i) => {
      set(s.moves.children[i], moving(m, t));
      s.moves.children[i].className = slow(m, t) ? "warn" : "";
    });
  }

  under(s, e) {
    const box = s.canvas.getBoundingClientRect(), r = box.width / 2;
    return arcAt(s.arcs, (e.clientX - box.left - r) / (r - 2), (e.clientY - box.top - r) / (r - 2));
  }

  hover(s, e) {
    const a = this.under(s, e);
    s.canvas.title = !a ? "" : a.owner < 0 ? "no owner" : a.receiver < 0 ? `node ${s.owners[a.owner]}` : `moves from node ${s.owners[a.owner]} to ${s.owners[a.receiver]}`;
  }

  redraw() {
    for (const s of this.shown) {
      this.paint(s);
      for (const row of s.rows.rows) row.classList.toggle("selected", row.dataset.owner === this.selected);
    }
  }

  paint(s) {
    const scale = devicePixelRatio || 1, g = s.canvas.getContext("2d"), half = SIZE / 2, radius = half - 2;
    if (s.canvas.width !== Math.round(SIZE * scale)) s.canvas.width = s.canvas.height = Math.round(SIZE * scale);
    g.setTransform(scale, 0, 0, scale, 0, 0);
    g.clearRect(0, 0, SIZE, SIZE);
    const marked = s.owners.indexOf(this.selected);
    const band = (a, inner, outer, fill) => {
      const from = 2 * Math.PI * a.from - Math.PI / 2, to = 2 * Math.PI * a.to - Math.PI / 2;
      g.beginPath();
      g.arc(half, half, radius * outer, from, to);
      g.arc(half, half, radius * inner, to, from, true);
      g.closePath();
      g.fillStyle = fill;
      g.fill();
    };
    const of = (owner) => owner < 0 ? colour("line", 0.6) : colour(tone(owner), marked < 0 || marked === owner ? 1 : 0.22);
    let moves = 0;
    for (const a of s.arcs) {
      if (a.receiver < 0) {
        band(a, INNER, 0.97, of(a.owner));
        continue;
      }
      // The holder's half is outside, the receiver's inside, with a mark around both.
      moves++;
      band(a, MIDDLE, 0.97, of(a.owner));
      band(a, INNER, MIDDLE - 0.03, of(a.receiver));
      band(a, 0.97, 1, colour("warn"));
      band(a, INNER - 0.05, INNER, colour("warn"));
    }
    s.canvas.dataset.moving = moves;
    s.canvas.dataset.marked = marked;
    const free = s.arcs.some((a) => a.owner < 0);
    const label = `The ring of keys of ${s.name}: ${count(s.owners.length, "owner")}${moves ? ", arcs move" : ""}${free ? ", a part has no owner" : ""}. The table has the shares.`;
    if (s.canvas.getAttribute("aria-label") !== label) s.canvas.setAttribute("aria-label", label);
  }
}
