import assert from "node:assert/strict";
import test from "node:test";
import { arcAt, arcs, moving, says, tone } from "../keys.js";
import { apply, empty } from "../store.js";

test("sectors become arcs, and a place is in one of them", () => {
  const all = arcs([0, -1, 180, 1, -1, 179, 1, 0, 1, -1, -1, 360]);
  assert.deepEqual(all[0], { from: 0, to: 0.25, owner: 0, receiver: -1 });
  assert.deepEqual(all.map((a) => a.owner), [0, 1, 1, -1]);
  assert.equal(all.at(-1).to, 1);
  // From twelve o'clock on, clockwise.
  assert.equal(arcAt(all, 0.5, -0.6), all[0]);
  assert.equal(arcAt(all, 0.5, 0.6), all[1]);
  assert.equal(arcAt(all, -0.8, 0.1), all[3]);
  assert.equal(arcAt(all, -0.0001, -0.8), all[3]);
  assert.equal(arcAt(all, 0, 0), undefined);
  assert.equal(arcAt(all, 1, 1), undefined);
  assert.deepEqual(arcs([]), []);
  assert.equal(arcAt([], 0.5, 0.6), undefined);
  assert.notEqual(tone(0), tone(1));
});

const service = {
  service: "counter", recovering: false, sources: 0, arcs: 128, free: 0, moving: 0, moved: 0, void: 0, half: 0, most: 0, longest: 0,
  keys: 1, handled: 0, refused: 0, unknown: 0, owners: [], owners_all: 2, moves: [],
};

test("what a service does in words", () => {
  const texts = (more, t = 100_000) => says({ ...service, ...more }, t);
  assert.deepEqual(texts({}), [["2 owners, 128 arcs, 1 key with a state.", ""], ["0 handled, 0 refused, 0 of unknown outcome.", ""]]);
  assert.deepEqual(texts({ sources: 1 })[0][0], "2 owners, 128 arcs, 1 key with a state; 1 member only sends.");
  assert.deepEqual(texts({ moved: 75, half: 8.2e6, most: 4e8, longest: 4e8 })[2], ["75 moves done: half within 8.20 ms, 99 % within 400 ms, the longest took 400 ms.", ""]);
  assert.deepEqual(texts({ free: 0.25 })[2], ["25 % of the ring has no owner: messages there wait.", "warn"]);
  assert.deepEqual(texts({ free: 1, recovering: true })[2], ["The registry waits until all members have said what they hold: no arc moves.", "warn"]);
  const under = "4 moves under way: marked in the picture, with the owner outside and the next one inside.";
  const moves = [["5", "9", 3, 0.02, 25_000], ["5", "7", 1, 0.5, 90_000]];
  assert.deepEqual(texts({ moving: 4, moves }).slice(2), [[under, "warn"]]);
  assert.deepEqual(texts({ moving: 4, moves }, 80_000).slice(2), [[under, ""]]);
  assert.equal(moving(moves[0], 100_000), "5 → 9: 3 moves, 2.0 % of the ring, for 1 min 15 s");
  assert.equal(moving(moves[1], 100_000), "5 → 7: 1 move, 50 % of the ring, for 10 s");
});

test("keys and arcs are parts of the state, and stay until they change", () => {
  const s = empty();
  apply(s, { t: 1, history: [], keys: [service], arcs: [{ owners: ["5"], sectors: [0, -1, 720] }] });
  apply(s, { t: 2, keys: [{ ...service, handled: 5 }] });
  assert.equal(s.keys[0].handled, 5);
  assert.deepEqual(s.arcs[0].owners, ["5"]);
});
