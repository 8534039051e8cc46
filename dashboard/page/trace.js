// The route panel: the route of a real trace, hop by hop, beside the route that the tables
// predict.

import { $, ask, make } from "./dom.js";
import { duration, isID, withIDs } from "./format.js";
import { predict } from "./route.js";

/**
 * The rows [{hop, id, elapsed, predicted, same}] of a route and its prediction. Both begin
 * with the source. Pure.
 */
export function compare(path, hops, predicted) {
  const rows = [];
  for (let i = 0; i < Math.max(path.length, predicted.length); i++) {
    const id = path[i] ?? "";
    rows.push({ hop: i, id, elapsed: i > 0 ? hops[i - 1]?.elapsed_ns : undefined, predicted: predicted[i] ?? "", same: id === (predicted[i] ?? "") });
  }
  return rows;
}

export class RoutePanel {
  constructor(store, redraw) {
    this.store = store;
    this.redraw = redraw;
    this.shown = null; // {path, predicted, traced} in IDs
    this.asks = 0;
    $("route-form").addEventListener("submit", (e) => {
      e.preventDefault();
      this.trace();
    });
    for (const end of ["from", "to"]) $(`route-${end}`).addEventListener("change", () => this.preview());
  }

  set(end, id) {
    $(`route-${end}`).value = id;
    this.preview();
  }

  /** Traces between two nodes. */
  between(from, to) {
    if (!from) return;
    $("route-from").value = from;
    $("route-to").value = to;
    this.trace();
  }

  ends() {
    return [$("route-from").value.trim(), $("route-to").value.trim()];
  }

  clear() {
    this.asks++;
    $("route-from").value = $("route-to").value = "";
    this.shown = null;
    this.put("idle", [], [], make("p", { class: "none" }, "Pick a source and a sink."));
  }

  put(state, path, predicted, ...content) {
    const box = $("route");
    box.dataset.state = state;
    box.dataset.path = path.join(",");
    box.dataset.predicted = predicted.join(",");
    box.replaceChildren(...content);
    this.redraw();
  }

  /** The route that the tables on this page predict, in IDs. */
  predicted(from, to) {
    const { byID, members } = this.store;
    const a = byID.get(from), b = byID.get(to);
    return a === undefined || b === undefined ? [] : predict(a, b, members).map((i) => members[i].id);
  }

  /** Shows the prediction as soon as both ends are known. */
  preview() {
    const [from, to] = this.ends();
    if (!from || !to) return;
    const predicted = this.predicted(from, to);
    this.asks++;
    this.shown = predicted.length ? { path: [], predicted } : null;
    this.put("idle", [], predicted, predicted.length ? this.table([], [], predicted) : make("p", { class: "none" }, "Both must be members of the ring."));
  }

  async trace() {
    const [from, to] = this.ends();
    const ask1 = ++this.asks;
    const bad = [["from", from], ["to", to]].find(([, id]) => !isID(id, this.store.ring?.bits ?? 64));
    if (bad) {
      this.shown = null;
      this.put("error", [], [], make("p", { class: "bad" }, bad[1] ? `${bad[1]} is not an ID of this ring.` : `Enter the node to trace ${bad[0]}.`));
      return;
    }
    this.put("waiting", [], this.predicted(from, to), make("p", { class: "none" }, "Waiting for the nodes on the way …"));
    try {
      const told = await ask("trace", withIDs(from, to));
      if (ask1 !== this.asks) return; // another trace has been started
      const path = [from, ...told.hops.map((h) => String(h.id))];
      const predicted = told.predicted.map(String);
      this.shown = { path, predicted };
      this.put(told.error ? "error" : "done", path, predicted,
        ...told.error ? [make("p", { class: "bad" }, told.error)] : [this.verdict(path, predicted)],
        this.table(path, told.hops, predicted));
    } catch (e) {
      if (ask1 !== this.asks) return;
      this.shown = null;
      this.put("error", [], [], make("p", { class: "bad" }, e.message));
    }
  }

  verdict(path, predicted) {
    const same = path.join() === predicted.join(), n = path.length - 1;
    return make("p", { class: same ? "good" : "warn" },
      same ? `✓ ${n} ${n === 1 ? "hop" : "hops"}, as predicted` : `≠ ${n} hops, and ${predicted.length - 1} predicted`);
  }

  table(path, hops, predicted) {
    return make("table", { class: "route" },
      make("thead", {}, make("tr", {}, ...["hop", "traced", "answered after", "predicted"].map((h, i) => make("th", { scope: "col", class: i === 2 && "n" }, h)))),
      make("tbody", {}, ...compare(path, hops, predicted).map((r) => make("tr", { class: path.length && !r.same && "differs" },
        make("th", { scope: "row" }, r.hop === 0 ? "source" : String(r.hop)),
        make("td", {}, r.id || "–"),
        make("td", { class: "n" }, r.elapsed === undefined ? "" : duration(r.elapsed)),
        make("td", {}, r.predicted || "–")))));
  }

  /** Updates the list of IDs to choose from. */
  refresh(change) {
    if (!change.members) return;
    const list = $("ids");
    const some = this.store.members.slice(0, 1000);
    if (list.children.length === some.length && some.every((m, i) => list.children[i].value === m.id)) return;
    list.replaceChildren(...some.map((m) => make("option", { value: m.id })));
  }
}
