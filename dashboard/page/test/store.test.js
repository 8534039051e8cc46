import assert from "node:assert/strict";
import test from "node:test";
import { announcement, apply, census, condition, empty, groupOf, lock, passes, rivals, sentence, tables } from "../store.js";
import { command, where } from "../empty.js";
import { linkOf, nodeIn } from "../address.js";
import { matches, shown } from "../nodes.js";
import { split } from "../lists.js";
import { tone } from "../control.js";
import { compare } from "../trace.js";
import { facts, gauges, lastWords, stateWords } from "../node.js";
import { hopsSince } from "../charts.js";

const full = {
  t: 1000,
  members: [["5", "a:1", "11", 900, [1], "worker-1"], ["9", "b:1", "12", 900, [0]]],
  rows: [[0, 2, 1, 2, 3, 4, 5, 6, [7]], [1, 0, 0, 0, 0, 0, 0, 0, [-1]]],
  ring: { epoch: 1, offsets: [1] }, gone: [["7", "c:1", "10", "dead", 950, "silent", 940, 4, 5, 6]], degraded: [["5", "9", "cut"]],
  total: { sent: 1 }, hops: [0, 2], latency: [[1], 5], flow: [1, 2, 3, 0], running: null, runs: [],
  events: [[1, 900, "joined", 1, "5", "a:1", "11", "0", ""]], history: [[500, 0, 0, 0, 0, 2]],
};

test("the first update has it all, the next ones what is new", () => {
  const s = empty();
  const c = apply(s, structuredClone(full));
  assert.ok(c.first && c.members && c.has("total") && c.history.length === 1);
  assert.deepEqual(c.rows, [0, 1]);
  assert.deepEqual([s.members[0].state, s.members[0].relayed, s.members[0].relayRate, s.members[0].links], ["active", 3, 6, [7]]);
  assert.deepEqual(s.members.map((m) => m.name), ["worker-1", ""]);
  assert.ok(matches(s.members[0], ["work"]) && !matches(s.members[1], ["work"]));
  assert.equal(s.byID.get("9"), 1);
  assert.deepEqual(s.gone[0], { id: "7", addr: "c:1", incarnation: "10", state: "dead", when: 950, why: "silent", heard: 940, sent: 4, delivered: 5, relayed: 6 });
  assert.deepEqual([...s.odd], [["5", 1], ["9", 1]]);

  const list = s.members;
  const d = apply(s, { t: 1500, rows: [[1, 2, 8, 0, 0, 0, 0, 0, [3]]], events: [[2, 1400, "ready", 1, "9", "b:1", "12", "0", ""]] });
  assert.ok(!d.first && !d.members && !d.has("total"));
  assert.equal(s.members, list); // what is laid out by it stays
  assert.equal(s.members[1].state, "active");
  assert.equal(s.members[0].relayed, 3);
  assert.deepEqual(s.events.map((e) => e.seq), [1, 2]);
  assert.equal(s.total.sent, 1);
  assert.deepEqual(s.flow, [1, 2, 3, 0]);

  apply(s, structuredClone(full)); // connected again
  assert.deepEqual(s.events.map((e) => e.seq), [1]);
});

test("events are bounded, and a row of nobody is nothing", () => {
  const s = empty();
  apply(s, structuredClone(full));
  for (let i = 0; i < 20; i++) apply(s, { t: i, rows: [[99, 2]], events: Array.from({ length: 100 }, (_, j) => [i * 100 + j, 0, "joined", 1, "1", "", "1", "0", ""]) });
  assert.equal(s.events.length, 512);
  assert.equal(s.events.at(-1).seq, 1999);
});

test("events in words", () => {
  const e = (kind, more) => ({ kind, id: "5", incarnation: "1", other: "9", why: "", ...more });
  assert.equal(sentence(e("dead")), "5 is dead");
  assert.equal(sentence(e("joined")), "5 joined");
  assert.equal(sentence(e("degraded")), "5 cannot reach 9: messages take a detour");
  assert.equal(sentence(e("left out")), "5 makes no progress: nothing waits for it");
  assert.equal(sentence(e("counts again")), "5 makes progress again");
  assert.equal(sentence(e("run ended", { incarnation: "0", why: "run 1: exact" })), "run 1: exact");
  assert.equal(sentence(e("set up", { incarnation: "0" })), "the overlay is set up");
  assert.equal(announcement([e("dead"), e("ready"), e("run ended", { why: "run 1: exact" })]), "run 1: exact. 5 is dead");
  assert.equal(announcement(Array(1000).fill(e("joined"))), "1000 nodes: joined");
  assert.equal(announcement([]), "");
});

test("the pill is green only if nothing needs attention", () => {
  const s = (more) => ({ ...empty(), ring: { live: true, missing: [] }, members: [{ id: "5", state: "active" }], ...more });
  const gone = (state) => [{ id: "7", state }];
  for (const [store, tone, text] of [
    [s({}), "good", "live"],
    [s({ gone: gone("left") }), "good", "live"],
    [s({ gone: gone("dead") }), "bad", "1 dead"],
    [s({ members: [{ id: "5", state: "suspect" }] }), "warn", "1 suspect"],
    [s({ members: [{ id: "5", state: "stuck" }] }), "warn", "1 stuck"],
    [s({ degraded: [{ from: "5", to: "9" }] }), "warn", "1 detour"],
    [s({ sidelined: [{ id: "5", why: "" }] }), "warn", "1 led around"],
    [s({ gone: gone("dead"), degraded: [{}, {}], members: [{ state: "suspect" }, { state: "suspect" }] }), "bad", "1 dead, 2 suspect, 2 detours"],
    [s({ ring: { live: true, missing: ["x"] } }), "warn", "changing"],
    [s({ ring: { live: true, missing: ["x"] }, gone: gone("dead") }), "bad", "1 dead, changing"],
    [s({ ring: { live: false, missing: ["x"] } }), "wait", "not set up"],
    [s({ ring: { live: false, missing: [] }, gone: gone("dead") }), "bad", "not set up, 1 dead"],
    [s({ ring: { live: false, missing: [] }, members: [] }), "wait", "no nodes yet"],
  ]) assert.deepEqual(condition(store), { tone, text });
  assert.deepEqual([...census(s({ gone: gone("left"), degraded: [{}] }))], [["detour", 1], ["left", 1], ["active", 1]]);
});

test("a secure ring in a line, and what an open one has", () => {
  const s = { key: "0123456789abcdef", kept: true, old_key: "", refused: 0, strangers: [], expelled: [], expelled_all: 0 };
  assert.equal(lock(s), "Encrypted; key 01234567, kept on disk; none refused.");
  assert.equal(lock({ ...s, kept: false, old_key: "fedcba9876", refused: 3, expelled_all: 2 }),
    "Encrypted; key 01234567, in memory only: nodes need a new join line after a restart; the key before, fedcba98, is still trusted; 3 refused; 2 expelled.");
  const store = empty();
  apply(store, { ...structuredClone(full), sidelined: [["9", "stood still"]], security: s });
  assert.deepEqual([store.sidelined, store.security], [[{ id: "9", why: "stood still" }], s]);
  apply(store, { t: 1001, sidelined: [], security: null });
  assert.deepEqual([store.sidelined, store.security], [[], null]);
});

test("events are filtered by group and by node", () => {
  const e = (kind, more) => ({ kind, id: "512", addr: "Host:1", incarnation: "1", other: "0", why: "", ...more });
  assert.ok(passes(e("dead"), "", "") && passes(e("dead"), "trouble", "51") && passes(e("dead"), "", "host:"));
  assert.ok(!passes(e("dead"), "membership", "") && !passes(e("dead"), "trouble", "12") && !passes(e("joined"), "trouble", ""));
  assert.ok(passes(e("degraded", { other: "99" }), "trouble", "99"));
  assert.ok(!passes(e("set up", { id: "0", incarnation: "0", addr: "" }), "", "0"), "an event of no node");
});

test("a kind of event that this page does not know is shown as it is", () => {
  const s = empty();
  apply(s, structuredClone(full));
  const { events } = apply(s, { t: 1, events: [[2, 0, "moved", 1, "5", "a:1", "11", "0", "ring b"], [3, 0, "eclipse", 1, "0", "", "0", "0", "dark"]] });
  assert.deepEqual(events.map(sentence), ["5: moved", "eclipse"]);
  assert.deepEqual(events.map((e) => groupOf(e.kind)), ["other", "other"]);
  assert.ok(passes(events[0], "other", "5") && !passes(events[0], "trouble", ""));
  assert.equal(announcement(events), "");
  assert.deepEqual(split("stopped: all that was sent has arrived"), ["stopped", "all that was sent has arrived"]);
});

test("members of another ring are trouble, and the page says what they mean", () => {
  const ring = { name: "shop", lease: 3000, others: 0, other: "", live: true, missing: [] };
  assert.equal(rivals(ring), "");
  const two = { ...ring, others: 2, other: "0123456789abcdef" };
  assert.match(rivals(two), /^2 nodes of another ring named “shop” \(01234567\) ask to come back here, and are refused: .* the nodes join as new ones after 1 min 0 s\.$/);
  assert.match(rivals({ ...two, others: 1 }), /^1 node of .* asks to come back here, and is refused: .* the node joins as a new one after/);
  assert.deepEqual(condition({ ...empty(), ring: two }), { tone: "warn", text: "other ring" });
  const e = { kind: "other ring", id: "5", addr: "", incarnation: "1", other: "0", why: "" };
  assert.equal(groupOf(e.kind), "trouble");
  assert.equal(announcement([e]), "5 of another ring asks to come back, and is refused");
});

test("tables in words", () => {
  const ring = { live: true, entries: 2, plan: "classic", missing: [] };
  assert.equal(tables({ ...ring, live: false }), "not set up");
  assert.equal(tables(ring), "2 entries, classic");
  assert.equal(tables({ ...ring, entries: 1 }), "1 entry, classic");
  assert.equal(tables({ ...ring, entries: 0 }), "0 entries, classic"); // one member
  assert.equal(tables({ ...ring, entries: 0, missing: ["members of an earlier ring still have time to come back"] }), "–");
});

test("a verdict has a tone", () => {
  assert.deepEqual(["exact", "balanced: 1 lost", "stopped: exact, 1 of 2", "WRONG: 1"].map(tone), ["good", "warn", "other", "bad"]);
});

test("addresses of nodes", () => {
  assert.equal(nodeIn(linkOf("18446744073709551615")), "18446744073709551615");
  for (const none of ["", "#"]) assert.equal(nodeIn(none), "");
  for (const other of ["#nodes", "#node=", "#node=x", "#node=1%20", "#node=123456789012345678901"]) assert.equal(nodeIn(other), null);
});

test("the command that adds a node names the server of the page", () => {
  assert.equal(command("messenger {host}:12345", "ring.example"), "messenger ring.example:12345");
  assert.equal(command("messenger 10.0.0.1:12345", "ring.example"), "messenger 10.0.0.1:12345");
  assert.equal(where("messenger {host}:1", "ring.example"), "Start one, here or on another machine:");
  assert.equal(where("messenger 10.0.0.1:1", "localhost"), "Start one, here or on another machine:");
  assert.match(where("messenger {host}:1", "localhost"), /on this machine, or on another with this one’s name in place of localhost/);
  for (const at of ["127.0.0.1:1", "[::1]:1", "localhost:1"]) assert.equal(where(`messenger ${at}`, "x"), "Start one on this machine:");
  assert.match(where("", "x"), /address/);
});

test("a node that is gone, in words", () => {
  const at = Date.parse("2026-01-01T00:01:00Z");
  const gone = { state: "dead", when: "2026-01-01T00:00:50Z", heard: "2026-01-01T00:00:48Z", why: "silent" };
  assert.equal(stateWords(gone, 0, at), "dead 10 s ago: silent");
  assert.equal(lastWords(gone, at), "These are its last figures, reported 12 s ago.");
  assert.equal(lastWords({ ...gone, heard: "0001-01-01T00:00:00Z" }, at), "It has not reported any figures.");
  assert.equal(stateWords({ ...gone, state: "left", why: "left" }, 0, at), "left 10 s ago");
  assert.equal(stateWords({ state: "active" }, 2, at), "active, 2 detours");
  assert.equal(lastWords({ state: "active" }, at), "");
});

test("the list of nodes: those in trouble and the selected one are not cut off", () => {
  const node = (id, state = "active") => ({ id: String(id), addr: `h${id}:1`, state });
  const members = Array.from({ length: 1000 }, (_, i) => node(i + 1, i === 900 ? "suspect" : "active"));
  const { list, found } = shown(members, [node(5000, "dead")], "", "777", new Map([["950", 1]]), 200);
  const ids = list.map((m) => m.id);
  assert.equal(found, 1001);
  assert.equal(list.length, 200);
  for (const id of ["901", "777", "5000", "950"]) assert.ok(ids.includes(id), id);
  assert.deepEqual(ids, ids.toSorted((a, b) => a - b));
  assert.equal(shown(members, [], "susp", "").found, 1);
  assert.equal(shown(members, [], "h99:", "").list[0].id, "99");
  assert.equal(shown(members, [], "nobody", "777").found, 0);
  assert.deepEqual(shown(members, [], "detour", "", new Map([["950", 1]])).list.map((m) => m.id), ["950"]);
  assert.ok(matches(node(12, "dead"), ["dead", "12"]) && !matches(node(12, "dead"), ["dead", "13"]));
  assert.equal(shown(members.slice(0, 150), [], "", "").list.length, 150);
});

test("a route beside its prediction", () => {
  const rows = compare(["1", "2", "3"], [{ elapsed_ns: 10 }, { elapsed_ns: 20 }], ["1", "3"]);
  assert.deepEqual(rows.map((r) => [r.id, r.elapsed, r.predicted, r.same]), [["1", undefined, "1", true], ["2", 10, "3", false], ["3", 20, "", false]]);
  assert.deepEqual(compare([], [], ["1"]).map((r) => r.id), [""]);
});

test("a node's facts", () => {
  const m = {
    addr: "a:1", incarnation: "11", epoch: 3, joined: "2026-01-01T00:00:00Z", heard: "0001-01-01T00:00:00Z",
    counters: { sent: 1, delivered: 2, relayed: 3, retransmitted: 4, duplicates: 5, dropped: { queue_full: 6, stale: 0 }, queued: 7, send_buffer: 50, receive_buffer: 0, handler_backlog: 0 },
    streams: { outgoing: 1, incoming: 2, in_flight: 100, window: 200 }, limits: { send_buffer: 100, receive_buffer: 100, handler_backlog: 0 },
  };
  const by = new Map(facts(m, Date.parse("2026-01-01T00:01:05Z")));
  assert.ok(!by.has("name") && !by.has("tags") && !by.has("services"));
  const said = new Map(facts({ ...m, name: "worker-1", tags: { zone: "a", disk: "ssd" }, services: ["count", "sum"] }, 0));
  assert.deepEqual([said.get("name"), said.get("tags"), said.get("services")], ["worker-1", "disk=ssd, zone=a", "count, sum"]);
  assert.equal(by.get("joined"), "1 min ago");
  assert.equal(by.get("last report"), "–");
  assert.equal(by.get("dropped"), "6 queue full");
  assert.equal(by.get("streams"), "1 sink, 2 sources");
  assert.deepEqual(gauges(m).map((g) => g.words), ["100 B of 200 B", "50 B of 100 B", "0 B of 100 B", "0 B"]);
});

test("hops are counted from when the tables were last others", () => {
  const since = hopsSince(), members = [1, 2, 3];
  since.update({ ring: { offsets: [1] }, members, hops: [0, 10] });
  assert.deepEqual(since.counts, [0, 10]);
  since.update({ ring: { offsets: [1, 2] }, members, hops: [0, 12] });
  assert.deepEqual(since.counts, [0, 0]);
  since.update({ ring: { offsets: [1, 2] }, members, hops: [0, 15, 5] });
  assert.deepEqual(since.counts, [0, 3, 5]);
  assert.ok(since.reset);
});

test("a verdict in two parts", () => {
  assert.deepEqual(split("exact"), ["exact", ""]);
  assert.deepEqual(split("balanced: 3 messages of unknown outcome; lost: node 5"), ["balanced", "3 messages of unknown outcome; lost: node 5"]);
});
