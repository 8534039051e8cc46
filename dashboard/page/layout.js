// The positions of things on the ring. Angles are in radians, 0 at the top, growing
// clockwise. Pure.

const TURN = 2 * Math.PI;

/** The angle of an ID, given as a string, in a ring of 2^bits. */
export const angle = (id, bits) => Number(id) / 2 ** bits * TURN;

/** The point at an angle and a distance from the centre (c, c). */
export const point = (a, radius, c) => [c + radius * Math.sin(a), c - radius * Math.cos(a)];

/** The clockwise distance from one angle to another. */
export const clockwise = (from, to) => ((to - from) % TURN + TURN) % TURN;

/**
 * The chord between two angles as a quadratic curve [x0, y0, cx, cy, x1, y1]. It bends towards
 * the centre: long chords would else all cross in one point, and short ones touch the rim.
 */
export function chord(from, to, radius, c) {
  const ahead = clockwise(from, to);
  const apart = Math.min(ahead, TURN - ahead);
  const middle = ahead <= Math.PI ? from + ahead / 2 : to + (TURN - ahead) / 2;
  const depth = radius * Math.max(0.04, 1 - 1.08 * Math.sin(apart / 2));
  return [...point(from, radius, c), ...point(middle, depth, c), ...point(to, radius, c)];
}

/** The point at t, 0 to 1, on a chord. */
export function along([x0, y0, cx, cy, x1, y1], t) {
  const u = 1 - t;
  return [u * u * x0 + 2 * u * t * cx + t * t * x1, u * u * y0 + 2 * u * t * cy + t * t * y1];
}

/** Whether there are too many entries to draw each as a chord. */
export const bundled = (members) => members.length > 48;

/**
 * The entries of a large ring, summed by pairs of arcs: [{from, to, entries, rate}], with from
 * and to the angles of the arcs' middles. Entries within one arc are left out: they would be dots.
 */
export function bundles(members, angles, arcs) {
  const entries = new Float64Array(arcs * arcs), rate = new Float64Array(arcs * arcs);
  const arcOf = angles.map((a) => Math.min(arcs - 1, Math.floor(a / TURN * arcs)));
  members.forEach((m, i) => {
    const row = arcOf[i] * arcs;
    m.entries.forEach((e, at) => {
      const cell = row + arcOf[e];
      entries[cell]++;
      rate[cell] += Math.max(0, m.links[at] ?? 0);
    });
  });
  const list = [];
  for (let cell = 0; cell < entries.length; cell++) {
    const from = Math.floor(cell / arcs), to = cell % arcs;
    if (entries[cell] > 0 && from !== to) {
      list.push({ from: (from + 0.5) / arcs * TURN, to: (to + 0.5) / arcs * TURN, entries: entries[cell], rate: rate[cell] });
    }
  }
  return list;
}

/**
 * Moves ascending angles apart, each as little as possible, so that neighbours are at least a
 * gap apart; gap is a function of the angle. The order stays. If there is no room for all,
 * they are spread evenly.
 */
export function spread(angles, gap) {
  const n = angles.length;
  if (n < 2) return angles.slice();
  if (angles.reduce((sum, a) => sum + gap(a), 0) >= TURN) return angles.map((_, i) => angles[0] + i * TURN / n);
  const at = angles.slice();
  for (let round = 0; round < 100; round++) {
    let moved = false;
    for (let i = 0; i < n; i++) {
      const j = (i + 1) % n;
      const room = at[j] - at[i] + (j === 0 ? TURN : 0), need = Math.max(gap(at[i]), gap(at[j]));
      if (room < need - 1e-4) {
        at[i] -= (need - room) / 2;
        at[j] += (need - room) / 2;
        moved = true;
      }
    }
    if (!moved) break;
  }
  return at;
}

/** The index of the ascending angle that is closest to a; -1 if there are none. */
export function nearest(angles, a) {
  let best = -1, least = Infinity;
  angles.forEach((b, i) => {
    const d = Math.min(clockwise(a, b), clockwise(b, a));
    if (d < least) [best, least] = [i, d];
  });
  return best;
}

/** The square root of n / max, from 0 to 1: drawn as a radius, it makes areas proportional to n. */
export const share = (n, max) => max > 0 ? Math.sqrt(Math.max(0, Math.min(1, n / max))) : 0;
