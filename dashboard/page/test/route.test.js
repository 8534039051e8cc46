import assert from "node:assert/strict";
import test from "node:test";
import { distance, expected, expectedMean, formula, hops, mean, nextHop, predict } from "../route.js";

// The ring of DESIGN: 10 21 32 43 54 61 77 87 99 101 103 with three entries.
const IDS = [10, 21, 32, 43, 54, 61, 77, 87, 99, 101, 103];
const ring = (n, offsets) => Array.from({ length: n }, (_, i) => ({ entries: offsets.map((o) => (i + o) % n) }));
const names = (path) => path.map((i) => IDS[i]);

test("a route takes the entry closest to the sink that does not pass it", () => {
  const members = ring(11, [1, 2, 4]);
  assert.deepEqual(names(predict(0, 8, members)), [10, 54, 99]);
  assert.deepEqual(names(predict(9, 0, members)), [101, 10]);
  assert.deepEqual(names(predict(8, 3, members)), [99, 21, 43]);
  assert.deepEqual(predict(5, 5, members), [5]);
});

test("nextHop against all entries by hand, in all small rings", () => {
  for (let n = 2; n <= 9; n++) {
    for (let self = 0; self < n; self++) {
      for (let to = 0; to < n; to++) {
        for (let set = 0; set < 1 << n; set += 3) {
          const entries = [];
          for (let e = 0; e < n; e++) if (set >> e & 1 && e !== self) entries.push(e);
          // The last that one meets when walking clockwise from self up to the sink, which is included.
          let want = -1;
          for (let at = self; at !== to;) {
            at = (at + 1) % n;
            if (entries.includes(at)) want = at;
          }
          assert.equal(nextHop(self, to, entries, n), want);
        }
      }
    }
  }
});

test("a table that leads nowhere ends the route", () => {
  assert.deepEqual(predict(0, 2, [{ entries: [1] }, { entries: [] }, { entries: [0] }]), [0, 1]);
});

test("hops by change-giving are those of the formula, and those of the tables", () => {
  for (const k of [1, 2, 3, 4, 7]) {
    const offsets = Array.from({ length: k }, (_, i) => 2 ** i);
    for (let d = 0; d < 300; d++) assert.equal(hops(d, offsets), formula(d, k));
  }
  for (const offsets of [[1, 2, 4], [1, 3, 5, 8], [1, 2, 6, 7, 20]]) {
    const members = ring(37, offsets);
    for (let to = 0; to < 37; to++) assert.equal(predict(11, to, members).length - 1, hops(distance(11, to, 37), offsets));
  }
});

test("the figures of DESIGN", () => {
  const near = (a, b) => assert.ok(Math.abs(a - b) < 0.005, `${a} is not ${b}`);
  near(expectedMean(10, [1, 2, 4]), 1.889);
  near(expectedMean(128, [1, 2, 4]), 16.63);
  near(expectedMean(128, [1, 2, 4, 8, 16, 32, 64]), 3.528);
  assert.equal(expected(10, [1, 2, 4]).length - 1, 3);
  assert.equal(expected(128, [1, 2, 4, 8, 16, 32, 64]).length - 1, 7);
  near(mean(expected(10, [1, 2, 4]).map((s) => 9 * s)), 1.889);
});

test("a forecast adds up, has a last element for all that is farther, and none without tables", () => {
  const shares = expected(1000, [1, 2, 4]);
  assert.equal(shares.length, 32);
  assert.ok(Math.abs(shares.reduce((a, b) => a + b) - 1) < 1e-9);
  assert.ok(shares[31] > 0.7);
  assert.equal(expected(1, [1]), null);
  assert.equal(expected(10, []), null);
  assert.equal(expected(10, [2, 4]), null);
  assert.ok(Number.isNaN(expectedMean(10, [])));
  assert.ok(Number.isNaN(mean([])));
});
