// The moving parts of the ring: dots along links with traffic, and circles at nodes that have
// come or gone. They have a canvas of their own, so that the picture below is drawn once an
// update and not once a frame. Nothing moves without traffic, on a hidden page, or for users
// who prefer reduced motion.

import { fit } from "./charts.js";
import { along } from "./layout.js";
import { colour } from "./palette.js";

const FLOWS = 120; // dots are drawn on at most so many curves, those with most traffic
const FRAME = 33; // ms: thirty frames a second are enough for dots
const PULSE = 1600; // ms

export class Motion {
  constructor(canvas) {
    this.canvas = canvas;
    this.flows = [];
    this.pulses = [];
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.still.addEventListener("change", () => this.wake());
    this.last = 0;
    this.running = false;
  }

  fit(size) {
    this.size = size;
  }

  recolour() {
    this.wake();
  }

  /** Sets the traffic to show: [{curve, rate, part}]. */
  flow(flows) {
    this.flows = flows.length > FLOWS ? flows.toSorted((a, b) => b.rate - a.rate).slice(0, FLOWS) : flows;
    this.wake();
  }

  /** Draws a circle around a place: it grows, or shrinks (inwards) for a node that has gone. */
  pulse(at, tone, inwards) {
    if (this.pulses.length < 60 && !this.still.matches) this.pulses.push({ at, tone, inwards, since: performance.now() });
    this.wake();
  }

  wake() {
    if (this.still.matches) {
      this.pulses = [];
      if (this.size) fit(this.canvas, this.size, this.size);
      return;
    }
    if (this.running || document.hidden) return;
    this.running = true;
    requestAnimationFrame((now) => this.frame(now));
  }

  frame(now) {
    if (document.hidden || this.still.matches || !this.flows.length && !this.pulses.length) {
      this.running = false;
      if (this.size) fit(this.canvas, this.size, this.size);
      return;
    }
    requestAnimationFrame((later) => this.frame(later));
    if (now - this.last < FRAME) return;
    this.last = now;
    const g = fit(this.canvas, this.size, this.size);
    g.fillStyle = colour("ink", 0.75);
    g.beginPath();
    for (const f of this.flows) {
      const c = f.curve;
      f.length ??= Math.hypot(c[2] - c[0], c[3] - c[1]) + Math.hypot(c[4] - c[2], c[5] - c[3]);
      const dots = Math.max(1, Math.min(4, Math.round(f.part * f.length / 90)));
      // Positions depend on time only, so that dots do not jump with an update.
      const t = now / 1000 * 110 / f.length + (c[0] * 7 + c[5] * 13) % 1, r = 1 + 1.4 * f.part;
      for (let i = 0; i < dots; i++) {
        const [x, y] = along(c, (t + i / dots) % 1);
        g.moveTo(x + r, y);
        g.arc(x, y, r, 0, 2 * Math.PI);
      }
    }
    g.fill();
    this.pulses = this.pulses.filter((p) => now - p.since < PULSE);
    g.lineWidth = 2.5;
    for (const p of this.pulses) {
      const t = Math.max(0, (now - p.since) / PULSE);
      g.strokeStyle = colour(p.tone, 1 - t);
      g.beginPath();
      g.arc(...p.at, 8 + 34 * (p.inwards ? 1 - t : t), 0, 2 * Math.PI);
      g.stroke();
    }
  }
}
