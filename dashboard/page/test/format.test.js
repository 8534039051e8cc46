import assert from "node:assert/strict";
import test from "node:test";
import { ago, bytes, count, duration, isID, names, parse, percent, short, whole, withIDs } from "../format.js";

test("short numbers", () => {
  for (const [n, text] of [[0, "0"], [7, "7"], [1.5, "1.5"], [999, "999"], [1000, "1.00k"], [12_345, "12.3k"], [999_500, "1.00M"],
    [4_770_106, "4.77M"], [99_960, "100k"], [9_999, "10.0k"], [-5, "−5"], [NaN, "–"], [3e18, "3000P"]]) assert.equal(short(n), text);
});

test("other numbers", () => {
  assert.equal(whole(1234567), "1,234,567");
  assert.equal(bytes(12), "12 B");
  assert.equal(bytes(8 << 20), "8.39 MB");
  assert.equal(count(1, "node"), "1 node");
  assert.equal(count(2000, "node"), "2,000 nodes");
  assert.equal(percent(0), "0 %");
  assert.equal(percent(0.0312), "3.1 %");
  assert.equal(percent(0.5), "50 %");
});

test("durations", () => {
  for (const [ns, text] of [[12, "12 ns"], [820_000, "820 µs"], [1_240_000, "1.24 ms"], [13_800_000, "13.8 ms"], [3_100_000_000, "3.10 s"],
    [125e9, "2 min 5 s"], [3720e9, "1 h 2 min"]]) assert.equal(duration(ns), text);
  assert.equal(ago(10_000, 9_500), "now");
  assert.equal(ago(40_000, 9_500), "31 s ago");
  assert.equal(ago(1000, 9_500), "now"); // clocks differ
});

test("IDs of 64 bits survive, and texts that look like them", () => {
  const told = parse('{"hops":[{"id":18446744073709551615,"elapsed_ns":1},{"id":9007199254740993}],"n":42,"f":0.1234567890123456789,"error":"id 18446744073709551615, \\"9007199254740993\\","}');
  assert.equal(told.hops[0].id, "18446744073709551615");
  assert.equal(told.hops[1].id, "9007199254740993");
  assert.equal(told.hops[0].elapsed_ns, 1);
  assert.equal(told.n, 42);
  assert.equal(told.f, 0.12345678901234568);
  assert.equal(told.error, 'id 18446744073709551615, "9007199254740993",');
  assert.equal(parse("9007199254740991"), 9007199254740991);
  assert.equal(withIDs("18446744073709551615", 3), '{"from":"18446744073709551615","to":"3"}');
});

test("what is an ID", () => {
  assert.ok(isID("0", 1) && isID("65535", 16) && isID("18446744073709551615", 64));
  assert.ok(!isID("65536", 16) && !isID("", 16) && !isID("-1", 16) && !isID("1e3", 16) && !isID("18446744073709551616", 64));
});

test("names are short, but not the same", () => {
  assert.deepEqual(names(["5", "65535"]), ["5", "65535"]);
  assert.deepEqual(names(["18446744073709551615", "5"]), ["1844…1615", "5"]);
  assert.deepEqual(names(["18446744073709551615", "18440000000000001615"]), ["18446744073709551615", "18440000000000001615"]);
});
