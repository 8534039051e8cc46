// The drawer: all details of one node, beside the picture, or below it on a phone. While it is
// open the node is requested with each update; the server answers from the sample that it
// takes for all pages.

import { linkOf } from "./address.js";
import { $, ask, make, set } from "./dom.js";
import { item } from "./events.js";
import { ago, bytes, count, whole } from "./format.js";

const EVENTS = 5; // the latest ones of the node that are shown

/** The facts of a node as [name, text]. Pure. */
export function facts(m, now) {
  const c = m.counters, s = m.streams;
  const dropped = Object.entries(c.dropped).filter(([, n]) => n > 0);
  const joined = Date.parse(m.joined), heard = Date.parse(m.heard);
  return [
    ...m.name ? [["name", m.name]] : [],
    ...m.tags ? [["tags", Object.entries(m.tags).sort().map(([key, value]) => `${key}=${value}`).join(", ")]] : [],
    ...m.services ? [["services", m.services.join(", ")]] : [],
    ["address", m.addr], ["incarnation", String(m.incarnation)], ["epoch of its table", whole(m.epoch)],
    ["joined", joined > 0 ? ago(now, joined) : "–"], ["last report", heard > 0 ? ago(now, heard) : "–"],
    ["sent", whole(c.sent)], ["delivered", whole(c.delivered)], ["relayed", whole(c.relayed)],
    ["retransmitted", whole(c.retransmitted)], ["duplicates", whole(c.duplicates)],
    ["dropped", dropped.length ? dropped.map(([why, n]) => `${whole(n)} ${why.replace("_", " ")}`).join(", ") : "0"],
    ["streams", `${count(s.outgoing, "sink")}, ${count(s.incoming, "source")}`],
    ["queued for links", bytes(c.queued)],
  ];
}

/** The buffers of a node and how full they are: [{name, now, bound, words}]. Pure. */
export function gauges(m) {
  const c = m.counters, s = m.streams, l = m.limits;
  return [
    { name: "window in use", now: s.in_flight, bound: s.window },
    { name: "send buffer", now: c.send_buffer, bound: l.send_buffer },
    { name: "receive buffer", now: c.receive_buffer, bound: l.receive_buffer },
    { name: "handler backlog", now: c.handler_backlog, bound: l.handler_backlog },
  ].map((g) => ({ ...g, words: g.bound > 0 ? `${bytes(g.now)} of ${bytes(g.bound)}` : bytes(g.now) }));
}

/** The state of a node in words; of one that is gone, since when, and why. Pure. */
export function stateWords(m, detours, now) {
  if (m.when === undefined) return m.state + (detours ? `, ${count(detours, "detour")}` : "");
  return `${m.state} ${ago(now, Date.parse(m.when))}${m.why && m.why !== m.state ? `: ${m.why}` : ""}`;
}

/** What the figures of a node that is gone are; "" for a member. Pure. */
export function lastWords(m, now) {
  if (m.when === undefined) return "";
  const heard = Date.parse(m.heard);
  return heard > 0 ? `These are its last figures, reported ${ago(now, heard)}.` : "It has not reported any figures.";
}

export class NodePanel {
  constructor(store, act) {
    this.store = store;
    this.act = act;
    this.id = "";
    this.asking = false;
    this.opener = null; // has the focus again afterwards
    $("node").addEventListener("click", (e) => {
      const to = e.target.closest("button, a")?.dataset;
      if (to?.select && !e.ctrlKey && !e.metaKey && !e.shiftKey) { // else the link opens in a tab of its own
        e.preventDefault();
        act.select(to.select);
      }
      if (to?.end) act[to.end](this.id);
    });
    $("node-close").addEventListener("click", () => act.select(""));
  }

  /** Opens the drawer with a node, or closes it. The focus goes there and back. */
  show(id) {
    if (id === this.id) return;
    const box = $("node"), active = document.activeElement, inside = box.contains(active);
    if (!inside) this.opener = active;
    this.id = id;
    box.dataset.id = id;
    box.hidden = !id;
    document.body.classList.toggle("picked", id !== "");
    this.built = null;
    this.asking = false;
    if (!id) {
      const back = this.opener?.isConnected && this.opener !== document.body ? this.opener : $("ring");
      if (inside) back.focus({ preventScroll: true });
      return;
    }
    set($("node-title"), `Node ${id}`);
    $("node-link").href = linkOf(id);
    $("node-body").replaceChildren(make("p", { class: "none" }, "…"));
    box.scrollTop = 0;
    box.focus({ preventScroll: true });
    this.refresh();
  }

  async refresh() {
    if (!this.id || this.asking) return;
    const id = this.id;
    this.asking = true;
    try {
      const m = await ask(`node.json?id=${id}`);
      if (id === this.id) this.draw(m);
    } catch (e) {
      if (id === this.id) {
        this.built = null;
        $("node-body").replaceChildren(make("p", { class: "none" }, e.message));
      }
    }
    if (id === this.id) this.asking = false;
  }

  draw(m) {
    const body = $("node-body"), gone = m.when !== undefined;
    const now = this.store.t;
    const list = facts(m, now), full = gauges(m);
    const links = new Map(m.links.map((l) => [String(l.to), l]));
    const i = this.store.byID.get(this.id);
    const known = i === undefined ? null : this.store.members[i];
    const rates = new Map(known ? known.entries.map((e, at) => [this.store.members[e].id, known.links[at]]) : []);
    const shape = `${this.id} ${list.length} ${m.incarnation} ${m.entries.join()} ${gone}`;
    if (this.built !== shape) { // else change texts only, so that the focus stays
      this.built = shape;
      body.replaceChildren(
        make("p", { class: "state-word" }),
        make("p", { class: "last" }),
        make("p", { class: "row" }, ...gone ? [] : [
          make("button", { type: "button", "data-end": "from" }, "Route from here"),
          make("button", { type: "button", "data-end": "to" }, "Route to here")],
        make("button", { type: "button", "data-end": "events" }, "Its events")),
        make("div", { class: "gauges", ...gone && { hidden: true } }, ...full.map((g) => make("div", {}, make("span", {}, g.name), make("meter", { min: 0, max: 1, "aria-label": g.name }), make("span", { class: "n" })))),
        make("dl", { class: "pairs" }, ...list.map(([name]) => make("div", {}, make("dt", {}, name), make("dd", {})))),
        make("h3", {}, `Table: ${count(m.entries.length, "entry").replace("entrys", "entries")}`),
        make("table", {}, make("thead", {}, make("tr", {}, ...["entry", "link", "bytes", "now", "queued"].map((h, at) => make("th", { scope: "col", class: at > 1 && "n" }, h)))),
          make("tbody", {}, ...m.entries.map((e) => make("tr", {}, make("th", { scope: "row" }, make("a", { href: linkOf(e), "data-select": String(e) }, String(e))),
            make("td"), make("td", { class: "n" }), make("td", { class: "n" }), make("td", { class: "n" }))))),
        make("h3", {}, "Its latest events"), make("ol", { class: "events" }));
    }
    const word = body.querySelector(".state-word");
    set(word, stateWords(m, this.store.odd.get(this.id), now));
    word.dataset.state = m.state;
    set(body.querySelector(".last"), lastWords(m, now));
    this.events(body.querySelector(".events"));
    body.querySelectorAll(".gauges > div").forEach((div, at) => {
      const g = full[at];
      div.children[1].value = g.bound > 0 ? g.now / g.bound : 0;
      set(div.children[2], g.words);
    });
    body.querySelectorAll(".pairs dd").forEach((dd, at) => set(dd, list[at][1]));
    body.querySelectorAll("tbody tr").forEach((row, at) => {
      const id = String(m.entries[at]), l = links.get(id);
      set(row.cells[1], !l ? "–" : l.up ? "up" : "down");
      set(row.cells[2], l ? bytes(l.bytes) : "–");
      set(row.cells[3], known ? `${bytes(Math.max(0, rates.get(id) ?? 0))}/s` : "–");
      set(row.cells[4], l ? bytes(l.queued) : "–");
    });
  }

  /** Shows the latest events of the node, if they have changed. */
  events(list) {
    const some = this.store.events.filter((e) => e.incarnation !== "0" && e.id === this.id || e.other === this.id).slice(-EVENTS).reverse();
    const now = some.map((e) => e.seq).join();
    if (list.dataset.seqs === now) return;
    list.dataset.seqs = now;
    list.replaceChildren(...some.map(item));
    list.previousElementSibling.hidden = some.length === 0;
  }
}
