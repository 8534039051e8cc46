// Samples of totals over time, and rates from them. Pure.

const APART = 250; // ms between samples: with shorter intervals the latest sample is replaced

/** The latest samples {t, sent, delivered, relayed, dropped, members}, at most size of them. */
export class History {
  constructor(size) {
    this.size = size;
    this.samples = [];
  }

  clear() {
    this.samples = [];
  }

  /** Adds a sample. It replaces the latest if it is not newer, or too close to the one before. */
  push(t, sent, delivered, relayed, dropped = 0, members = 0) {
    const last = this.samples.at(-1), before = this.samples.at(-2);
    if (last && (t <= last.t || before && last.t - before.t < APART)) this.samples.pop();
    else if (this.samples.length === this.size) this.samples.shift();
    this.samples.push({ t, sent, delivered, relayed, dropped, members });
  }

  /**
   * The growth per second of a field, over the window of so many ms that ends with sample i.
   * The window should be at least as long as the time between a node's reports: over a
   * shorter one, in which some nodes report and others do not, the rate would jump. For the
   * same reason nothing counts as grown before the first sample.
   */
  rate(field, window, i = this.samples.length - 1) {
    const to = this.samples[i];
    if (!to || i === 0) return 0;
    let j = i - 1;
    while (j > 0 && this.samples[j].t > to.t - window) j--;
    const from = this.samples[j];
    // Counts of earlier incarnations are kept, so totals never shrink, except when a new
    // registry takes the place of another.
    return Math.max(0, to[field] - from[field]) / (Math.max(window, to.t - from.t) / 1000);
  }

  /** The rates [{t, rate}] at all samples since a time. */
  rates(field, window, since = -Infinity) {
    const list = [];
    for (let i = 1; i < this.samples.length; i++) {
      if (this.samples[i].t >= since) list.push({ t: this.samples[i].t, rate: this.rate(field, window, i) });
    }
    return list;
  }
}

/** The top of a scale for a number: the smallest of 1, 2, 5, 10, 20, 50 ... that is not below it. */
export function ceiling(n) {
  if (!(n > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(n));
  for (const m of [1, 2, 5]) if (m * power >= n * (1 - 1e-9)) return m * power;
  return 10 * power;
}
