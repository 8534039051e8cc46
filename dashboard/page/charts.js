// Two charts: messages per second over time, and the histogram of hops.

import { $, make, set } from "./dom.js";
import { count, percent, short, whole } from "./format.js";
import { ceiling } from "./history.js";
import { colour } from "./palette.js";
import { expected, expectedMean, mean } from "./route.js";

const SPAN = 300_000; // ms that the chart shows, as long as the registry remembers
const STRIP = 34; // height of the chart of members

/** Fits a canvas to its size on the page. Setting the size clears it, so it is only set on change. */
export function fit(canvas, width, height) {
  const dpr = Math.min(2, devicePixelRatio || 1), w = Math.round(width * dpr), h = Math.round(height * dpr);
  const g = canvas.getContext("2d");
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  g.setTransform(dpr, 0, 0, dpr, 0, 0);
  g.clearRect(0, 0, width, height);
  return g;
}

export function drawHistory(history, window, now) {
  const canvas = $("history-canvas"), width = canvas.clientWidth, height = canvas.clientHeight;
  if (!width) return;
  const delivered = history.rates("delivered", window, now - SPAN), relayed = history.rates("relayed", window, now - SPAN);
  const peak = (rates) => rates.reduce((max, r) => Math.max(max, r.rate), 0);
  const most = peak(delivered), top = ceiling(Math.max(most, peak(relayed)));
  const g = fit(canvas, width, height), base = height - STRIP - 16;
  const x = (t) => width - (now - t) / SPAN * width, y = (rate) => base - rate / top * (base - 14);
  g.strokeStyle = colour("line");
  g.fillStyle = colour("soft");
  g.lineWidth = 1;
  g.font = "11px system-ui, sans-serif";
  g.textAlign = "left";
  g.beginPath();
  for (const part of [0, 0.5, 1]) {
    g.moveTo(0, Math.round(y(top * part)) + 0.5);
    g.lineTo(width, Math.round(y(top * part)) + 0.5);
  }
  g.stroke();
  g.fillText(most > 0 ? short(top) : "", 2, y(top) - 3);
  g.textAlign = "center";
  for (const minutes of [1, 2, 3, 4]) g.fillText(`−${minutes} min`, x(now - minutes * 60_000), base + 12);
  g.textAlign = "right";
  g.fillText("now", width, base + 12);
  curve(g, delivered, x, y, base, "flow");
  curve(g, relayed, x, y, base, "load");
  drops(g, history.rates("dropped", window, now - SPAN), x, base);
  const words = drawMembers(g, history.samples.filter((s) => s.t >= now - SPAN), x, height);
  set($("history-peak"), most > 0 ? `peak ${short(most)} in five minutes` : "");
  const label = `Messages per second over the last five minutes: ${short(delivered.at(-1)?.rate ?? 0)} delivered now, at most ${short(most)}. ${words}`;
  if (canvas.getAttribute("aria-label") !== label) canvas.setAttribute("aria-label", label);
}

/** Draws rates: those in "flow" as a line above an area, others as dashes. */
function curve(g, rates, x, y, base, tone) {
  if (rates.length < 2) return;
  const line = () => rates.forEach((r, i) => i ? g.lineTo(x(r.t), y(r.rate)) : g.moveTo(x(r.t), y(r.rate)));
  if (tone === "flow") {
    g.beginPath();
    line();
    g.lineTo(x(rates.at(-1).t), base);
    g.lineTo(x(rates[0].t), base);
    g.fillStyle = colour(tone, 0.18);
    g.fill();
  }
  g.beginPath();
  line();
  g.strokeStyle = colour(tone);
  g.lineWidth = tone === "flow" ? 2 : 1.5;
  g.setLineDash(tone === "flow" ? [] : [4, 3]);
  g.lineJoin = "round";
  g.stroke();
  g.setLineDash([]);
}

/** Marks the times at which frames were dropped, below the line of zero. */
function drops(g, rates, x, base) {
  g.fillStyle = colour("bad");
  for (const r of rates) if (r.rate > 0) g.fillRect(x(r.t) - 1, base + 1, 2, 4);
}

/** Draws the number of members as steps, and returns it in words. */
function drawMembers(g, samples, x, height) {
  const counts = samples.map((s) => s.members);
  const least = Math.min(...counts, Infinity), most = Math.max(...counts, 0);
  const top = height - STRIP + 14, low = height - 3;
  const y = (n) => most === least ? top : low - (n - least) / (most - least) * (low - top);
  g.beginPath();
  samples.forEach((s, i) => {
    if (i) g.lineTo(x(s.t), y(samples[i - 1].members));
    else g.moveTo(x(s.t), y(s.members));
    g.lineTo(x(s.t), y(s.members));
  });
  g.strokeStyle = colour("soft");
  g.lineWidth = 1.5;
  g.stroke();
  const words = !samples.length ? "" : least === most ? count(most, "member") : `${whole(least)} to ${whole(most)} members`;
  g.fillStyle = colour("soft");
  g.textAlign = "left";
  g.fillText(words, 2, height - STRIP + 9);
  return words;
}

/** Counts hops since the tables last changed, so that old tables do not distort the histogram. Pure. */
export function hopsSince() {
  let tables = null, base = [], counts = [];
  return {
    update({ ring, members, hops }) {
      const now = `${members.length} ${ring.offsets.join()}`;
      if (tables === null || hops.length < base.length) base = [];
      else if (now !== tables) base = hops.slice();
      tables = now;
      counts = hops.map((n, h) => Math.max(0, n - (base[h] ?? 0)));
    },
    get counts() { return counts; },
    get reset() { return base.length > 0; },
  };
}

/** Each count as a share of their sum. */
const shares = (counts) => {
  const sum = counts.reduce((a, b) => a + b, 0);
  return counts.map((c) => sum ? c / sum : 0);
};

let drawn = "", forecast = { of: "", shares: null, mean: NaN };

export function drawHops(store, since) {
  const { ring, members } = store, counts = since.counts;
  const tables = `${members.length} ${ring.offsets.join()}`;
  if (forecast.of !== tables) forecast = { of: tables, shares: expected(members.length, ring.offsets), mean: expectedMean(members.length, ring.offsets) };
  const now = `${tables} ${counts.join()}`;
  if (now === drawn) return;
  drawn = now;
  const measured = shares(counts), predicted = forecast.shares ?? [];
  const n = Math.max(measured.length, predicted.length);
  const top = Math.max(0.01, ...measured, ...predicted);
  const box = $("hops");
  while (box.children.length > n) box.lastChild.remove();
  while (box.children.length < n) {
    box.append(make("div", { class: "bin" }, make("div", { class: "bars" }, make("i", { class: "measured" }), make("i", { class: "predicted" })), make("span", {})));
  }
  const every = n > 20 ? 5 : 1;
  for (let h = 0; h < n; h++) {
    const bin = box.children[h], [a, b] = bin.firstChild.children;
    bin.dataset.hops = h;
    bin.dataset.measured = counts[h] ?? 0;
    bin.title = `${h}${h === 31 ? " and more" : ""} hops: ${percent(measured[h] ?? 0)} measured, ${percent(predicted[h] ?? 0)} predicted`;
    a.style.height = `${100 * (measured[h] ?? 0) / top}%`;
    b.style.height = `${100 * (predicted[h] ?? 0) / top}%`;
    set(bin.lastChild, h % every ? "" : h === 31 ? "31+" : String(h));
  }
  const sum = counts.reduce((a, b) => a + b, 0);
  const said = `${sum ? `Measured mean ${mean(counts).toFixed(3)} over ${count(sum, "message")}${since.reset ? " since the tables changed" : ""}` : "No messages by these tables yet"}` +
    `${Number.isFinite(forecast.mean) ? `; predicted mean ${forecast.mean.toFixed(3)}` : ""}.`;
  set($("hops-text"), said);
  box.setAttribute("aria-label", `Histogram of hops. ${said}`);
}
