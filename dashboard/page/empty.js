// What to do while the ring is empty: the command with which a node joins.

import { $, make, set } from "./dom.js";

/** The command with the name of this page's server in place of {host}. Pure. */
export const command = (text, host) => text.replaceAll("{host}", host);

/** Says where the command works. Pure. */
export function where(text, host) {
  const local = /\b(localhost|127\.[\d.]+)\b|\[::1\]/.test(command(text, host));
  if (!text) return "Start one with the address of this ring’s registry.";
  if (!local) return "Start one, here or on another machine:";
  return text.includes("{host}") ? `Start one on this machine, or on another with this one’s name in place of ${host}:` : "Start one on this machine:";
}

export class Empty {
  constructor() {
    const copy = $("empty-copy");
    copy.hidden = !navigator.clipboard; // browsers offer it to pages of this machine and to secure ones
    copy.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText($("empty-command").textContent);
        set(copy, "Copied");
      } catch {
        getSelection().selectAllChildren($("empty-command"));
      }
    });
  }

  show({ members, gone, ring }) {
    const empty = members.length === 0 && gone.length === 0;
    $("empty").hidden = !empty;
    if (!empty) return;
    $("empty-command").parentElement.hidden = ring.join === "";
    if (ring.join === "") $("empty-copy").hidden = true;
    set($("empty-how"), where(ring.join, location.hostname));
    const text = command(ring.join, location.hostname), code = $("empty-command");
    if (code.textContent === text) return;
    code.replaceChildren(...text.split(" ").flatMap((word, i) => [i ? " " : "", make("span", {}, word)])); // lines break between words
  }
}
