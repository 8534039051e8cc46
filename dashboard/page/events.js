// The list of events, and its filter.

import { $, make, set } from "./dom.js";
import { clock, whole } from "./format.js";
import { passes, sentence } from "./store.js";

const SHOWN = 150;

/** An event as an element of a list. */
export function item(e) {
  return make("li", { "data-seq": e.seq, "data-kind": e.kind },
    make("time", { datetime: new Date(e.t).toISOString() }, clock(e.t)),
    " ", make("span", { class: "what" }, sentence(e)),
    ...e.why && e.why !== e.kind && e.why !== sentence(e) ? [" ", make("span", { class: "why" }, e.why)] : []);
}

export class Events {
  constructor(store) {
    this.store = store;
    this.list = $("events");
    for (const field of ["events-group", "events-node"]) $(field).addEventListener("input", () => this.draw(store.events, true));
  }

  /** Shows the events of one node only. */
  of(id) {
    $("events-group").value = "";
    $("events-node").value = id;
    this.draw(this.store.events, true);
    $("events-title").scrollIntoView({ block: "nearest" });
    $("events-node").focus({ preventScroll: true });
  }

  /** Adds events that pass the filter, the newest on top. With all, they replace the list. */
  draw(events, all) {
    const group = $("events-group").value, text = $("events-node").value.trim().toLowerCase();
    if (all) this.list.replaceChildren();
    const some = events.filter((e) => passes(e, group, text)).slice(-SHOWN).reverse().map(item);
    if (some.length) this.list.prepend(...some);
    while (this.list.children.length > SHOWN) this.list.lastChild.remove();
    const kept = this.store.events.length, n = this.list.children.length;
    set($("events-count"), n < kept ? `${whole(n)} of ${whole(kept)} shown` : "");
    $("events-none").hidden = n > 0;
    set($("events-none"), kept ? "No event passes the filter." : "No events yet.");
  }
}
