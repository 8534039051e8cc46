// The table of nodes, which is also the text alternative to the picture. Rows are kept, and
// only cells that differ are written: at 1,000 nodes everything changes twice a second. Up to
// ALL nodes, all are shown. Of more, only the first SOME that match the search, since the
// layout of rows is most of the cost of an update.

import { linkOf } from "./address.js";
import { $, make, set } from "./dom.js";
import { ago, bytes, count, short, whole } from "./format.js";
import { census } from "./store.js";

const ALL = 200, SOME = 60;

/** Whether a node matches all words of a search. "detour" is one that odd has. Pure. */
export function matches(node, words, odd) {
  return words.every((w) => node.id.startsWith(w) || node.addr.includes(w) || node.name?.toLowerCase().includes(w) || node.state.startsWith(w) || "detour".startsWith(w) && odd?.has(node.id));
}

/**
 * The nodes to show, members and nodes that are gone, by ascending ID. The selected node is
 * among them if it matches. Pure.
 */
export function shown(members, gone, text, selected, odd, limit = members.length > ALL ? SOME : Infinity) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const list = [], rest = [];
  // Nodes in trouble come first, so that the limit does not cut them off.
  for (const m of gone) if (matches(m, words, odd)) list.push(m);
  for (const m of members) {
    if (!matches(m, words, odd)) continue;
    (m.state !== "active" && m.state !== "registered" || m.id === selected || odd?.has(m.id) ? list : rest).push(m);
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
      if (!row || e.ctrlKey || e.metaKey || e.shiftKey) return; // the link may open in a tab of its own
      e.preventDefault();
      select(row.dataset.id);
    });
    $("find").addEventListener("input", () => this.draw());
    $("census").addEventListener("click", (e) => {
      const state = e.target.closest("button")?.dataset.find;
      if (state) $("find").value = $("find").value.trim() === state ? "" : state;
      this.draw();
    });
  }

  select(id) {
    this.selected = id;
    this.draw();
  }

  draw() {
    const { members, gone, t, ring, odd } = this.store;
    $("nodes").classList.toggle("long", ring.bits > 30); // IDs that need their room
    const { list, found } = shown(members, gone, $("find").value, this.selected, odd);
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
    set($("nodes-count"), found > list.length ? `${list.length} of ${whole(found)} shown` : count(found, "node"));
    this.sum();
  }

  /** Shows how many nodes are not simply active, as buttons that find them. */
  sum() {
    const all = [...census(this.store)].filter(([state]) => state !== "active"), text = $("find").value.trim();
    const now = all.join() + text;
    if (this.summed === now) return;
    this.summed = now;
    const box = $("census"), had = document.activeElement?.closest("#census button")?.dataset.find;
    box.replaceChildren(...all.map(([state, n]) => make("button", { type: "button", class: "chip state", "data-find": state, "data-state": state, "aria-pressed": String(text === state) },
      state === "detour" ? count(n, "detour") : `${whole(n)} ${state}`)));
    if (had) box.querySelector(`[data-find="${had}"]`)?.focus();
  }

  make(id) {
    const row = make("tr", { "data-id": id }, make("th", { scope: "row" }, make("a", { href: linkOf(id) }, id)), make("td", { class: "state" }));
    for (let i = 0; i < 5; i++) row.append(make("td", { class: "n" }));
    row.was = [];
    return row;
  }

  fill(row, m, now) {
    const here = m.when === undefined, detour = this.store.odd.has(m.id);
    const texts = [
      here ? m.state + (detour ? ", detour" : "") : `${m.state} ${ago(now, m.when)}`,
      short(m.sent), short(m.delivered), short(m.relayed), here ? short(m.relayRate) : "–", here ? bytes(m.queued) : "–",
    ];
    const title = here ? "" : `its last figures, reported ${ago(now, m.heard)}`;
    if (row.title !== title) row.title = title;
    if (row.classList.contains("odd") !== detour) row.classList.toggle("odd", detour);
    texts.forEach((text, i) => {
      if (row.was[i] === text) return;
      row.was[i] = text;
      row.cells[i + 1].textContent = text;
    });
    if ((row.named ?? "") !== (m.name ?? "")) {
      row.named = m.name ?? "";
      row.cells[0].replaceChildren(row.cells[0].firstChild, ...row.named ? [make("span", { class: "name" }, row.named)] : []);
    }
    if (row.dataset.state !== m.state) row.dataset.state = m.state;
    const selected = m.id === this.selected;
    if (row.selected !== selected) {
      row.selected = selected;
      row.classList.toggle("selected", selected);
      if (selected) row.cells[0].firstChild.setAttribute("aria-current", "true");
      else row.cells[0].firstChild.removeAttribute("aria-current");
    }
  }
}
