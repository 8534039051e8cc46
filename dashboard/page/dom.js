// Small help with the document: it is changed only where it differs, since a change costs a
// layout and what is the same need not be.

import { parse } from "./format.js";

export const $ = (id) => document.getElementById(id);

/** Sets an element's text. */
export function set(element, text) {
  text = String(text);
  if (element.textContent !== text) element.textContent = text;
}

/** Sets an element's text to a number in words, and its raw number to data-value. */
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

/** Asks the server; an answer that is an error throws its words. */
export async function ask(path, body) {
  const answer = await fetch(path, body === undefined ? {} :
    { method: "POST", headers: { "Content-Type": "application/json" }, body: typeof body === "string" ? body : JSON.stringify(body) });
  let said;
  try {
    said = parse(await answer.text());
  } catch {
    throw new Error(`${path} answered ${answer.status} ${answer.statusText}`);
  }
  if (!answer.ok) throw new Error(said.error || `${path} answered ${answer.status}`);
  return said;
}
