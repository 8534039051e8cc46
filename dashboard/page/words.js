// The picture in words, for screen readers, and its legend.

import { $, set } from "./dom.js";
import { ago, bytes, count, short } from "./format.js";
import { census } from "./store.js";

/** A node of the picture in words. Pure. */
export function describe(m, { t, odd }) {
  if (m.when !== undefined) return `${m.id}, ${m.state} ${ago(t, m.when)}`;
  return `${m.id}, ${m.state}${odd.has(m.id) ? ", detour" : ""}, ${short(m.relayRate)} relayed and ${short(m.rate)} delivered a second`;
}

/** A ring in words: how many nodes it has in which states. Pure. */
export function summary(store, route) {
  const states = [...census(store)].filter(([state]) => state !== "detour").map(([state, n]) => `${n} ${state}`);
  return `Ring of ${count(store.members.length, "node")}: ${states.join(", ") || "empty"}.` +
    `${store.degraded.length ? ` ${count(store.degraded.length, "detour")}.` : ""}` +
    `${route?.path.length ? ` The route from ${route.path[0]} to ${route.path.at(-1)} is drawn.` : ""} The list of nodes has the same as a table.`;
}

export class Words {
  constructor(store) {
    this.store = store;
    this.legend = document.querySelectorAll(".legend [data-states]");
  }

  /** Describes what a picture shows: its route, its busiest link and its busiest node. */
  say({ canvas, route, widest, fullest, idle, large }) {
    const label = summary(this.store, route), counts = census(this.store);
    if (canvas.getAttribute("aria-label") !== label) canvas.setAttribute("aria-label", label);
    for (const e of this.legend) {
      const n = e.dataset.states.split(" ").reduce((sum, state) => sum + (counts.get(state) ?? 0), 0);
      set(e, n ? `${e.dataset.words}: ${n}` : e.dataset.words);
      e.classList.toggle("there", n > 0);
    }
    set($("legend-flow"), widest > idle ? `traffic; the widest is ${bytes(widest)}/s${large ? " between two arcs" : ""}` : "traffic");
    set($("legend-load"), fullest > 0 ? `relays; the most is ${short(fullest)}/s` : "relays");
  }
}
