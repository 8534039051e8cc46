import assert from "node:assert/strict";
import test from "node:test";
import { along, angle, bundled, bundles, chord, clockwise, nearest, point, share, spread } from "../layout.js";

const TURN = 2 * Math.PI;
const close = (a, b, by = 1e-9) => assert.ok(Math.abs(a - b) <= by, `${a} is not ${b}`);

test("places: 0 at the top, clockwise, also with 64 bits", () => {
  close(angle("0", 16), 0);
  close(angle("16384", 16), TURN / 4);
  close(angle("9223372036854775808", 64), TURN / 2);
  const [x, y] = point(TURN / 4, 10, 100);
  close(x, 110);
  close(y, 100);
  close(point(0, 10, 100)[1], 90);
  close(clockwise(TURN - 1, 1), 2);
});

test("a chord goes from one place to the other, within the ring", () => {
  for (const [a, b] of [[0, 1], [1, 0], [0, Math.PI], [5, 0.2], [0.1, 6.2]]) {
    const c = chord(a, b, 100, 200);
    close(along(c, 0)[0], point(a, 100, 200)[0]);
    close(along(c, 1)[1], point(b, 100, 200)[1]);
    for (let t = 0; t <= 1; t += 0.1) {
      const [x, y] = along(c, t);
      assert.ok(Math.hypot(x - 200, y - 200) <= 100 + 1e-9);
    }
  }
});

test("a chord bows the same way in both directions", () => {
  const there = chord(0.3, 5, 100, 0), back = chord(5, 0.3, 100, 0);
  close(there[2], back[2]);
  close(there[3], back[3]);
});

test("labels keep their distance and their order, and move little", () => {
  const gap = () => 0.1;
  assert.deepEqual(spread([1, 2, 3], gap), [1, 2, 3]);
  const at = spread([1, 1.01, 1.02, 4, 6.27], gap);
  at.forEach((a, i) => {
    const next = at[(i + 1) % 5] + (i === 4 ? TURN : 0);
    assert.ok(next - a >= 0.1 - 1e-3, `${at}`);
  });
  close((at[0] + at[1] + at[2]) / 3, 1.01, 0.01);
  close(at[3], 4);
  const around = spread([0.001, 6.28], gap); // neighbours over the top
  assert.ok(around[0] + TURN - around[1] >= 0.1 - 1e-3);
  assert.equal(spread(Array(100).fill(1), () => 0.2).length, 100);
  assert.deepEqual(spread([], gap), []);
  assert.deepEqual(spread([2], gap), [2]);
});

test("a large ring's entries are bundled, and none of the traffic is lost", () => {
  const n = 1000, arcs = 48;
  const angles = Array.from({ length: n }, (_, i) => i * TURN / n);
  const members = angles.map((_, i) => ({
    entries: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512].map((o) => (i + o) % n),
    links: [1, 1, 1, 1, 1, 1, 1, 1, -1, 1],
  }));
  assert.ok(bundled(members) && !bundled(members.slice(0, 10)));
  const list = bundles(members, angles, arcs);
  assert.ok(list.length < 600, `${list.length} bundles`);
  const arcOf = (a) => Math.floor(a / TURN * arcs);
  let entries = 0, rate = 0;
  members.forEach((m, i) => m.entries.forEach((e, at) => {
    if (arcOf(angles[i]) === arcOf(angles[e])) return;
    entries++;
    rate += Math.max(0, m.links[at]);
  }));
  assert.equal(list.reduce((sum, b) => sum + b.entries, 0), entries);
  assert.equal(list.reduce((sum, b) => sum + b.rate, 0), rate);
  assert.ok(list.every((b) => b.from !== b.to));
});

test("the nearest node, also over the top", () => {
  assert.equal(nearest([0.1, 2, 6.2], 6.27), 2);
  assert.equal(nearest([0.1, 2, 5], 6.27), 0);
  assert.equal(nearest([], 1), -1);
});

test("shares", () => {
  assert.equal(share(0, 0), 0);
  assert.equal(share(25, 100), 0.5);
  assert.equal(share(200, 100), 1);
  assert.equal(share(-1, 100), 0);
});
