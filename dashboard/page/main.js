// The page: it listens to /events and lets each view draw what has changed.

import { Address } from "./address.js";
import { apply, announcement, condition, empty, rivals, tables } from "./store.js";
import { Empty } from "./empty.js";
import { Events } from "./events.js";
import { History } from "./history.js";
import { clock, short, whole, bytes, duration } from "./format.js";
import { RingView } from "./ring.js";
import { palette, theme } from "./palette.js";
import { drawHistory, drawHops, hopsSince } from "./charts.js";
import { NodeTable } from "./nodes.js";
import { Runs, Audit, drawDegraded, drawSecurity, drawSidelined } from "./lists.js";
import { Keys } from "./keys.js";
import { NodePanel } from "./node.js";
import { RoutePanel } from "./trace.js";
import { Control } from "./control.js";
import { $, set, value } from "./dom.js";

const store = empty();
const history = new History(1200);
const since = hopsSince();
const paints = [];
window.ringdht = { paints, store, history, palette, placeOf: (id) => ring.placeOf(id) }; // for tests

const route = new RoutePanel(store, () => drawRing());
const panel = new NodePanel(store, {
  select: (id) => pick(id),
  events: (id) => events.of(id),
  from: (id) => route.set("from", id),
  to: (id) => route.set("to", id),
});
const ring = new RingView(store, { select: (id) => pick(id), routeTo: (id) => route.between(panel.id, id) });
const nodes = new NodeTable(store, (id) => pick(id));
const keys = new Keys((id) => pick(id));
const runs = new Runs(), events = new Events(store), welcome = new Empty(), audit = new Audit(), control = new Control();

const address = new Address((id) => store.ring && select(id));

/** Opens the drawer with a node, "" for none. */
function select(id) {
  panel.show(id);
  ring.selected = id;
  nodes.select(id);
  keys.select(id);
  drawRing();
}

/** Handles a pick by the user. A second pick of the same node closes the drawer. */
function pick(id) {
  const now = id === panel.id ? "" : id;
  const fromPicture = document.activeElement === $("ring");
  select(now);
  address.set(now);
  if (now && fromPicture) reveal(now);
}

/** Scrolls as little as needed if the drawer, at the bottom of a phone, covers the node in the picture. */
function reveal(id) {
  const sheet = $("node").getBoundingClientRect(), picture = $("ring").getBoundingClientRect();
  const at = picture.top + (ring.placeOf(id)?.[1] ?? -picture.top) + 24;
  if (sheet.left < picture.right && at > sheet.top) scrollBy(0, at - sheet.top);
}

function drawRing() {
  ring.draw(route.shown);
}

/** The window of rates: it covers two reports of each node, and is at most 10 s. */
const rateWindow = () => Math.min(10_000, Math.max(2 * store.ring.interval, 2 * store.ring.lease / 3));

/** A quantile of the delivery latency, in ns: the upper bound of its bucket. */
function quantile([counts], q) {
  let rest = Math.ceil(q * counts.reduce((sum, n) => sum + n, 0));
  for (let i = 0; i < counts.length; i++) {
    rest -= counts[i];
    if (counts[i] > 0 && rest <= 0) return 1000 * 2 ** i;
  }
  return 0;
}

function drawTotals() {
  const t = store.total;
  value("total-sent", t.sent, whole);
  value("total-delivered", t.delivered, whole);
  value("total-relayed", t.relayed, whole);
  value("total-queued", t.queued, bytes);
  value("total-retransmitted", t.retransmitted, whole);
  value("total-rate", Math.round(history.rate("delivered", rateWindow())), short);
  const median = quantile(store.latency, 0.5);
  value("total-latency", median, (ns) => ns ? `≤ ${duration(ns)}` : "–");
}

function drawHead() {
  const r = store.ring;
  set($("name"), r.name === "ring" ? "ringdht" : r.name);
  value("members", store.members.length, whole);
  value("epoch", r.epoch, whole);
  set($("tables"), tables(r));
  const waits = r.live && r.missing.length > 0, now = condition(store);
  $("missing").hidden = !waits;
  document.body.classList.toggle("waiting", waits);
  if (waits) {
    set($("missing"), `The ring waits: ${r.missing.join("; ")}.`);
    $("missing").title = $("missing").textContent;
  }
  const two = rivals(r);
  $("rivals").hidden = !two;
  set($("rivals"), two);
  $("state").dataset.tone = now.tone;
  set($("state-text"), now.text);
}

/** Draws everything that an update has changed. */
function draw(change) {
  drawHead();
  drawTotals();
  drawRing();
  nodes.draw(change);
  if (change.has("runs")) runs.draw(store.runs);
  runs.progress(store.running);
  events.draw(change.first ? store.events : change.events, change.first);
  welcome.show(store);
  if (change.has("degraded")) drawDegraded(store.degraded);
  if (change.has("sidelined")) drawSidelined(store.sidelined);
  if (change.has("security")) drawSecurity(store.security);
  keys.draw(store, change);
  drawHistory(history, rateWindow(), store.t);
  drawHops(store, since);
  audit.follow(store);
  control.show(store);
  route.refresh(change);
}

function take(text) {
  const start = performance.now();
  const change = apply(store, JSON.parse(text));
  if (change.first) history.clear();
  for (const sample of change.history) history.push(...sample);
  history.push(store.t, ...store.flow, store.members.length);
  since.update(store);
  if (!change.first) {
    ring.happened(change.events);
    const say = announcement(change.events);
    if (say) set($("says"), say);
  }
  document.body.dataset.connected = "true";
  document.body.classList.remove("lost");
  $("lost").hidden = true;
  draw(change);
  if (change.first) address.follow();
  panel.refresh(change);
  void document.body.offsetHeight; // the measured time includes the layout
  const took = performance.now() - start;
  if (paints.push(took) > 200) paints.shift();
  document.body.dataset.paints = Number(document.body.dataset.paints) + 1;
  set($("paint"), `${took.toFixed(1)} ms`);
}

function disconnected() {
  document.body.dataset.connected = "false";
  $("state").dataset.tone = "bad";
  set($("state-text"), store.ring ? "no connection" : "connecting");
  $("lost").hidden = !store.ring;
  if (store.ring) set($("lost"), `No answer from the registry since ${clock(store.t)}. All below is as it was then. Messages between nodes flow on meanwhile.`);
  document.body.classList.toggle("lost", !!store.ring);
}

let source = null;

/**
 * Listens to updates while the page is visible. Browsers open at most six connections to a
 * server, for all pages together: pages in the background must leave them to the page in
 * front, and cost nothing. The first update brings everything that a page has missed.
 */
function listen() {
  if (document.hidden) {
    source?.close();
    source = null;
    document.body.dataset.connected = "false";
    return;
  }
  if (source) return;
  source = new EventSource("events");
  source.onmessage = (e) => take(e.data);
  source.onerror = () => {
    disconnected();
    if (source?.readyState !== EventSource.CLOSED) return;
    source = null; // refused: the browser does not retry by itself
    setTimeout(listen, 2000);
  };
}

theme(() => {
  if (!store.ring) return;
  ring.recolour();
  keys.redraw();
  drawRing();
  drawHistory(history, rateWindow(), store.t);
});
new ResizeObserver(() => {
  if (!store.ring || !ring.resize()) return;
  drawRing();
  drawHistory(history, rateWindow(), store.t);
}).observe(document.querySelector(".stage"));
document.addEventListener("visibilitychange", () => {
  listen();
  ring.wake();
});
document.addEventListener("keydown", (e) => {
  if (e.key !== "Escape" || e.target.type === "search" && e.target.value) return; // that one clears its field
  if (panel.id) pick("");
  else route.clear();
});
listen();
