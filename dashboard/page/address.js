// The page's address: #node=12345 is the link of a node. Pure, but for Address.

/** The ID that a fragment names; "" if it is empty, null if it is about something else. */
export function nodeIn(fragment) {
  if (fragment === "" || fragment === "#") return "";
  return /^#node=(\d{1,20})$/.exec(fragment)?.[1] ?? null;
}

/** The link of a node. */
export const linkOf = (id) => `#node=${id}`;

/**
 * Keeps the page's address and the picked node the same. Each pick is a step of the browser's
 * history, so the back button goes to the node before.
 */
export class Address {
  constructor(picked) {
    this.picked = picked;
    if (/^#key=/.test(location.hash)) window.history.replaceState(null, "", location.pathname + location.search); // there is a login already
    addEventListener("popstate", () => this.follow()); // also when the user types another fragment
  }

  /** Picks the node that the address names. */
  follow() {
    const id = nodeIn(location.hash);
    if (id !== null) this.picked(id);
  }

  /** Adopts a node that the user has picked, "" for none. */
  set(id) {
    if ((nodeIn(location.hash) ?? "") !== id) window.history.pushState(null, "", id ? linkOf(id) : location.pathname + location.search);
  }
}
