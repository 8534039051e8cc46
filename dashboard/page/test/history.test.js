import assert from "node:assert/strict";
import test from "node:test";
import { History, ceiling } from "../history.js";

test("rates over a window", () => {
  const h = new History(100);
  assert.equal(h.rate("delivered", 1000), 0);
  h.push(0, 0, 0, 0);
  assert.equal(h.rate("delivered", 1000), 0);
  for (let i = 1; i <= 10; i++) h.push(i * 500, 0, i % 2 ? h.samples.at(-1).delivered : h.samples.at(-1).delivered + 1000, 0);
  // It grows by 1,000 in every other sample: over two of them that is 1,000 a second, always.
  for (let i = 2; i <= 10; i++) assert.equal(h.rate("delivered", 1000, i), 1000);
  assert.equal(h.rate("delivered", 1e6), 5); // all of it, over a window that began before
  assert.equal(h.rates("delivered", 1000).length, 10);
  assert.equal(h.rates("delivered", 1000, 4000).length, 3);
});

test("it forgets the oldest", () => {
  const h = new History(3);
  for (let i = 0; i < 10; i++) h.push(i * 500, i, i, i, 0, i);
  assert.deepEqual(h.samples.map((s) => s.members), [7, 8, 9]);
});

test("with a short interval, samples are kept apart, so that they last", () => {
  const h = new History(1200);
  for (let t = 0; t <= 400_000; t += 50) h.push(t, t, t, t);
  assert.ok(h.samples.length <= 1200 && h.samples.at(-1).t - h.samples[0].t >= 290_000, `${h.samples[0].t} to ${h.samples.at(-1).t}`);
  assert.ok(h.samples.slice(1, -1).every((s, i) => s.t - h.samples[i].t >= 250));
  assert.equal(h.rate("delivered", 1000), 1000);
});

test("a sample for the same time replaces the one before", () => {
  const h = new History(3);
  h.push(1000, 1, 1, 1);
  h.push(1000, 2, 2, 2);
  assert.equal(h.samples.length, 1);
  assert.equal(h.samples[0].sent, 2);
});

test("a registry that begins anew is no negative rate", () => {
  const h = new History(3);
  h.push(0, 0, 500, 0);
  h.push(1000, 0, 20, 0);
  assert.equal(h.rate("delivered", 1000), 0);
});

test("tops of scales", () => {
  for (const [n, top] of [[0, 1], [NaN, 1], [1, 1], [1.1, 2], [3, 5], [5, 5], [7, 10], [1499, 2000], [0.03, 0.05]]) {
    assert.ok(Math.abs(ceiling(n) - top) < 1e-12, `${n}: ${ceiling(n)}`);
  }
});
