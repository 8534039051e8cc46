// Numbers, times and IDs as text for people. Pure.

const SUFFIX = ["", "k", "M", "G", "T", "P"];

/** A number of few characters: 987, 12.3k, 4.77M. */
export function short(n) {
  if (!Number.isFinite(n)) return "–";
  let size = Math.abs(n), i = 0;
  while (size >= 999.5 && i < SUFFIX.length - 1) {
    size /= 1000;
    i++;
  }
  const digits = i === 0 ? (size < 10 && size % 1 ? 1 : 0) : size < 9.995 ? 2 : size < 99.95 ? 1 : 0;
  return (n < 0 ? "−" : "") + size.toFixed(digits) + SUFFIX[i];
}

const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** A whole number in full: 1,234,567. */
export const whole = (n) => grouped.format(n);

/** Bytes: 12 B, 3.4 kB. */
export const bytes = (n) => {
  const s = short(n);
  return /[a-zA-Z]$/.test(s) ? `${s.slice(0, -1)} ${s.slice(-1)}B` : `${s} B`;
};

/** A duration given in nanoseconds: 820 µs, 1.24 ms, 3.1 s, 2 min 5 s. */
export function duration(ns) {
  if (ns < 1e3) return `${Math.round(ns)} ns`;
  for (const [unit, size] of [["µs", 1e3], ["ms", 1e6], ["s", 1e9]]) {
    const n = ns / size;
    if (n < 999.5 && unit !== "s" || unit === "s" && n < 60) return `${n < 9.995 ? n.toFixed(2) : n < 99.95 ? n.toFixed(1) : n.toFixed(0)} ${unit}`;
  }
  const s = Math.round(ns / 1e9);
  return s < 3600 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
}

/** The time since then, both in ms: 5 s ago. */
export function ago(now, then) {
  const s = Math.max(0, Math.round((now - then) / 1000));
  if (s < 2) return "now";
  return s < 60 ? `${s} s ago` : s < 3600 ? `${Math.floor(s / 60)} min ago` : `${Math.floor(s / 3600)} h ago`;
}

/** The time of day: 13:04:59. */
export const clock = (ms) => new Date(ms).toTimeString().slice(0, 8);

export const percent = (part) => `${(100 * part).toFixed(part > 0 && part < 0.0995 ? 1 : 0)} %`;

/** "1 node", "2 nodes". */
export const count = (n, word) => `${whole(n)} ${word}${n === 1 ? "" : "s"}`;

/** Parses JSON with 64-bit numbers: whole numbers that JavaScript cannot hold become strings. */
export function parse(text) {
  return JSON.parse(text.replace(/"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g, (token) =>
    /^\d{16,}$/.test(token) && !Number.isSafeInteger(Number(token)) ? `"${token}"` : token));
}

/** The JSON of a trace request. IDs are strings, since JSON.stringify cannot write 64-bit numbers. */
export const withIDs = (from, to) => JSON.stringify({ from: String(from), to: String(to) });

/** IDs short enough for a label: long ones by their first and last digits, if those differ. */
export function names(ids) {
  const cut = ids.map((id) => id.length > 9 ? `${id.slice(0, 4)}…${id.slice(-4)}` : id);
  return new Set(cut).size === new Set(ids).size ? cut : ids.slice();
}

/** Whether a text is an ID of a ring of so many bits. */
export const isID = (text, bits) => /^\d{1,20}$/.test(text) && BigInt(text) < 1n << BigInt(bits);
