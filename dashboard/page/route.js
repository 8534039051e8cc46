// Routing as the nodes do it, over indices into the list of members by ascending ID. The
// order on the ring is that of the list, so distances in positions compare as distances in
// IDs do, and no arithmetic on 64-bit IDs is needed. Pure.

/** The clockwise distance in positions, in a ring of n. */
export const distance = (from, to, n) => ((to - from) % n + n) % n;

/** The entry closest to a sink without passing it, or -1, as ringdht.ClosestPreceding. */
export function nextHop(from, to, entries, n) {
  const limit = distance(from, to, n);
  let best = -1, farthest = 0;
  for (const e of entries) {
    const d = distance(from, e, n);
    if (d > farthest && d <= limit) [best, farthest] = [e, d];
  }
  return best;
}

/** The route that the tables predict, in indices, until they lead no further. */
export function predict(from, to, members) {
  const path = [from];
  for (let at = from; at !== to;) {
    at = nextHop(at, to, members[at].entries, members.length);
    if (at < 0) break;
    path.push(at);
  }
  return path;
}

/**
 * The number of hops to the node d positions ahead, with entries at these offsets: like giving
 * change in coins, the largest first. With 1, 2, 4 ... 2^(k-1) it is
 * floor(d / 2^(k-1)) + popcount(d mod 2^(k-1)).
 */
export function hops(d, offsets) {
  let n = 0;
  for (let i = offsets.length - 1; i >= 0; i--) {
    n += Math.floor(d / offsets[i]);
    d %= offsets[i];
  }
  return n;
}

/** The same by the formula, for tables with k entries of the classic plan. */
export function formula(d, k) {
  const longest = 2 ** (k - 1);
  let rest = d % longest, ones = 0;
  for (; rest > 0; rest = Math.floor(rest / 2)) ones += rest % 2;
  return Math.floor(d / longest) + ones;
}

/**
 * The share of sinks at each number of hops, in a ring of n with these offsets. Element max
 * counts all sinks at more hops too. Null if such tables do not lead to every node.
 */
export function expected(n, offsets, max = 31) {
  if (n < 2 || !offsets.length || offsets[0] !== 1) return null;
  const shares = [];
  for (let d = 1; d < n; d++) {
    const h = Math.min(max, hops(d, offsets));
    while (shares.length <= h) shares.push(0);
    shares[h] += 1 / (n - 1);
  }
  return shares;
}

/** The mean number of hops over all sinks; exact even if the histogram's last element is open. */
export function expectedMean(n, offsets) {
  if (n < 2 || !offsets.length || offsets[0] !== 1) return NaN;
  let sum = 0;
  for (let d = 1; d < n; d++) sum += hops(d, offsets);
  return sum / (n - 1);
}

/** The mean of a histogram. */
export function mean(counts) {
  let sum = 0, n = 0;
  counts.forEach((c, h) => {
    sum += c * h;
    n += c;
  });
  return n ? sum / n : NaN;
}
