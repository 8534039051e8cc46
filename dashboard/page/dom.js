// Helpers for the document. They change it only where it differs, since each change costs a
// layout.

import { parse } from "./format.js";

export const $ = (id) => document.getElementById(id);

/** Sets an element's text. */
export function set(element, text) {
  text = String(text);
  if (element.textContent !== text) element.textContent = text;
}

/** Sets an element's text to a formatted number, and its data-value to the raw number. */
export function value(id, n, words) {
  const element = $(id), raw = String(n ?? 0);
  if (element.dataset.value !== raw) element.dataset.value = raw;
  set(element, words(n ?? 0));
}

/** Makes an element: make("td", {class: "n"}, "text", child...). */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, v] of Object.entries(attributes)) {
    if (v === false || v === undefined) continue;
    if (typeof v === "function") element.addEventListener(name, v);
    else element.setAttribute(name, v === true ? "" : v);
  }
  element.append(...children);
  return element;
}

/** Sends a request to the server. If the answer is an error, it throws its text. */
export async function ask(path, body) {
  const request = body === undefined ? {} :
    { method: "POST", headers: { "Content-Type": "application/json" }, body: typeof body === "string" ? body : JSON.stringify(body) };
  const answer = await fetch(path, request).catch(() => {
    throw new Error("The registry does not answer.");
  });
  let said;
  try {
    said = parse(await answer.text());
  } catch {
    throw new Error(`${path} answered ${answer.status} ${answer.statusText}`);
  }
  if (!answer.ok) throw new Error(said.error || `${path} answered ${answer.status}`);
  return said;
}
