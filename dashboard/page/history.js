// Samples of totals over time, and what they say a second. Pure.

/** The latest so many samples {t, sent, delivered, relayed}. */
export class History {
  constructor(size) {
    this.size = size;
    this.samples = [];
  }

  clear() {
    this.samples = [];
  }

  /** Adds a sample. One that is not newer than the latest replaces it. */
  push(t, sent, delivered, relayed) {
    const last = this.samples.at(-1);
    if (last && t <= last.t) this.samples.pop();
    else if (this.samples.length === this.size) this.samples.shift();
    this.samples.push({ t, sent, delivered, relayed });
  }

  /**
   * What grew a second over the window of so many ms that ends with sample i; before the
   * first sample nothing is taken to have grown, since a rate over half a second, in which
   * some nodes report and others do not, would jump. For the same reason the window
   * should be at least as long as nodes take from report to report.
   */
  rate(field, window, i = this.samples.length - 1) {
    const to = this.samples[i];
    if (!to || i === 0) return 0;
    let j = i - 1;
    while (j > 0 && this.samples[j].t > to.t - window) j--;
    const from = this.samples[j];
    // What was counted in a life that is over is kept, so that it never shrinks, but for
    // a registry that has taken another's place.
    return Math.max(0, to[field] - from[field]) / (Math.max(window, to.t - from.t) / 1000);
  }

  /** [{t, rate}] of all samples not older than a time. */
  rates(field, window, since = -Infinity) {
    const list = [];
    for (let i = 1; i < this.samples.length; i++) {
      if (this.samples[i].t >= since) list.push({ t: this.samples[i].t, rate: this.rate(field, window, i) });
    }
    return list;
  }
}

/** The least of 1, 2, 5, 10, 20, 50 ... that is not below a number: the top of a scale. */
export function ceiling(n) {
  if (!(n > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(n));
  for (const m of [1, 2, 5]) if (m * power >= n * (1 - 1e-9)) return m * power;
  return 10 * power;
}
