// Runs, the audit, and pairs whose messages take a detour.

import { $, ask, make, set } from "./dom.js";
import { clock, count, duration, percent, short, whole } from "./format.js";
import { lock } from "./store.js";

/** A verdict's first word, and its reason. Pure. */
export function split(verdict) {
  const at = verdict.indexOf(": ");
  return at < 0 ? [verdict, ""] : [verdict.slice(0, at), verdict.slice(at + 2)];
}

export class Runs {
  draw(runs) {
    $("runs").hidden = runs.length === 0;
    $("runs").tBodies[0].replaceChildren(...runs.toReversed().flatMap((r) => {
      const [word, why] = split(r.verdict);
      const row = make("tr", { "data-run": r.number, "data-exact": String(r.exact), "data-verdict": word },
        make("th", { scope: "row" }, String(r.number)),
        make("td", { class: "verdict" }, word),
        make("td", { class: "n", title: whole(r.received) }, short(r.received)),
        make("td", { class: "n" }, short(r.rate)),
        make("td", { class: "n" }, duration(r.elapsed_ns)),
        make("td", { class: "n", title: `at most ${r.max_hops}` }, r.mean_hops.toFixed(2)));
      return why ? [row, make("tr", { class: "why" }, make("td", { colspan: 6 }, why))] : [row];
    }));
  }

  /** Shows the progress of the current run. */
  progress(running) {
    $("running").hidden = !running;
    $("runs-none").hidden = running || $("runs").tBodies[0].rows.length > 0;
    if (!running) return;
    const share = running.total ? running.received / running.total : 0;
    $("running-bar").value = share;
    set($("running-text"), `run ${running.number}${running.stopping ? " stops" : ""}: ${percent(share)} of ${whole(running.total)} messages delivered`);
  }
}

/** The audit. It is requested when the epoch has not changed for a second. */
export class Audit {
  constructor() {
    this.epoch = -1;
    this.seen = -1;
    this.since = 0;
    this.asking = false;
  }

  follow({ ring, t }) {
    if (ring.epoch !== this.seen) {
      this.seen = ring.epoch;
      this.since = t;
    }
    if (ring.live && !this.asking && this.epoch !== ring.epoch && t - this.since >= 1000) this.ask();
  }

  async ask() {
    this.asking = true;
    try {
      this.draw(await ask("audit.json"));
    } catch (e) {
      this.epoch = this.seen; // no retry in this epoch
      $("audit").replaceChildren(make("p", { class: "bad" }, e.message));
    }
    this.asking = false;
  }

  draw(a) {
    this.epoch = a.epoch;
    const ok = a.unreachable === 0;
    const routes = ok ? `${a.sampled ? "a sample of" : "all"} ${whole(a.pairs)} routes arrive` :
      `${whole(a.unreachable)} of ${whole(a.pairs)} routes do not arrive, for example from ${a.bad_from} to ${a.bad_to}`;
    const facts = [
      ["epoch", whole(a.epoch)], ["nodes", whole(a.nodes)], ["entries", whole(a.entries)],
      ["offsets", (a.offsets ?? []).slice(0, 16).join(" ") + ((a.offsets ?? []).length > 16 ? " …" : "")],
      ["hops, mean", a.mean_hops.toFixed(3)], ["hops, most", `${a.max_hops} (${a.max_from} to ${a.max_to})`],
      ["routes relayed by a node", a.min_relayed === a.max_relayed ? whole(a.min_relayed) :
        `${whole(a.min_relayed)} to ${whole(a.max_relayed)} (${a.max_relay})`],
    ];
    $("audit").dataset.epoch = a.epoch;
    $("audit").dataset.ok = String(ok);
    $("audit").replaceChildren(
      make("p", { class: ok ? "good" : "bad" }, `${ok ? "✓" : "✕"} ${routes}`),
      make("dl", { class: "pairs" }, ...facts.map(([name, words]) => make("div", {}, make("dt", {}, name), make("dd", {}, words)))));
  }
}

/** The pairs of nodes without a direct link, whose messages take a detour. */
export function drawDegraded(pairs) {
  const box = $("degraded");
  box.hidden = pairs.length === 0;
  box.querySelector("h3").textContent = `Detours: ${count(pairs.length, "pair")}`;
  box.querySelector("ul").replaceChildren(...pairs.slice(0, 50).map((p) => make("li", {}, `${p.from} → ${p.to}: ${p.why}`)));
}

/** The members that pass nothing on, so that routes lead around them. */
export function drawSidelined(members) {
  const box = $("sidelined");
  box.hidden = members.length === 0;
  box.querySelector("h3").textContent = `Led around: ${count(members.length, "node")}`;
  box.querySelector("ul").replaceChildren(...members.slice(0, 50).map((m) => make("li", {}, `${m.id}: ${m.why}`)));
}

/** The card of a secure ring: its key, the latest sources that were refused, and nodes that were expelled. */
export function drawSecurity(s) {
  $("security").hidden = !s;
  if (!s) return;
  set($("security-says"), lock(s));
  const line = (...words) => make("li", {}, words.join(" "));
  $("security-list").replaceChildren(
    ...s.expelled.map(([id, when]) => line(clock(when), `node ${id} was expelled`)),
    ...s.strangers.map(([from, cause, times, last]) => line(clock(last), `${from} was refused: ${cause}${times > 1 ? `, ${whole(times)} times` : ""}`)));
}
