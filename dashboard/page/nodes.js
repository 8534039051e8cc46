// The table of nodes, which is also the text alternative to the picture. Rows are kept, and
// only cells that differ are written: at 1,000 nodes everything changes twice a second. Up to
// ALL nodes, all are shown. Of more, only the first SOME that match the search, since the
// layout of rows is most of the cost of an update.

import { $, make, set } from "./dom.js";
import { ago, bytes, short, whole } from "./format.js";

const ALL = 200, SOME = 60;

/** Whether a node matches all words of a search. Pure. */
export function matches(node, words) {
  return words.every((w) => node.id.startsWith(w) || node.addr.includes(w) || node.state.startsWith(w));
}

/**
 * The nodes to show, members and nodes that are gone, by ascending ID. The selected node is
 * among them if it matches. Pure.
 */
export function shown(members, gone, text, selected, limit = members.length > ALL ? SOME : Infinity) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const list = [], rest = [];
  // Nodes in trouble come first, so that the limit does not cut them off.
  for (const m of gone) if (matches(m, words)) list.push(m);
  for (const m of members) {
    if (!matches(m, words)) continue;
    (m.state !== "active" && m.state !== "registered" || m.id === selected ? list : rest).push(m);
  }
  const found = list.length + rest.length;
  const some = list.concat(rest).slice(0, limit);
  some.sort((a, b) => a.id.length - b.id.length || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  return { list: some, found };
}

export class NodeTable {
  constructor(store, select) {
    this.store = store;
    this.selected = "";
    this.body = $("nodes").tBodies[0];
    this.rows = new Map();
    this.body.addEventListener("click", (e) => {
      const row = e.target.closest("tr");
      if (row) select(row.dataset.id);
    });
    $("find").addEventListener("input", () => this.draw({ members: true }));
  }

  select(id) {
    this.selected = id;
    this.draw({ members: true });
  }

  draw() {
    const { members, gone, t, ring } = this.store;
    $("nodes").classList.toggle("long", ring.bits > 30); // IDs that need their room
    const { list, found } = shown(members, gone, $("find").value, this.selected);
    const ids = new Set(list.map((m) => m.id));
    for (const [id, row] of this.rows) {
      if (ids.has(id)) continue;
      row.remove();
      this.rows.delete(id);
    }
    let before = null;
    for (const m of list) {
      let row = this.rows.get(m.id);
      if (!row) this.rows.set(m.id, row = this.make(m.id));
      if ((before ? before.nextSibling : this.body.firstChild) !== row) {
        if (before) before.after(row);
        else this.body.prepend(row);
      }
      this.fill(row, m, t);
      before = row;
    }
    set($("nodes-count"), found > list.length ? `${list.length} of ${whole(found)} shown` : `${whole(found)}`);
  }

  make(id) {
    const button = make("button", { type: "button", class: "link" }, id);
    const row = make("tr", { "data-id": id }, make("th", { scope: "row" }, button), make("td", { class: "state" }));
    for (let i = 0; i < 5; i++) row.append(make("td", { class: "n" }));
    row.was = [];
    return row;
  }

  fill(row, m, now) {
    const here = m.when === undefined;
    const texts = [
      here ? m.state : `${m.state}, ${ago(now, m.when)}`,
      ...here ? [short(m.sent), short(m.delivered), short(m.relayed), short(m.relayRate), bytes(m.queued)] : ["", "", "", "", ""],
    ];
    texts.forEach((text, i) => {
      if (row.was[i] === text) return;
      row.was[i] = text;
      row.cells[i + 1].textContent = text;
    });
    if (row.dataset.state !== m.state) row.dataset.state = m.state;
    const selected = m.id === this.selected;
    if (row.selected !== selected) {
      row.selected = selected;
      row.classList.toggle("selected", selected);
      row.cells[0].firstChild.setAttribute("aria-pressed", selected);
    }
  }
}
