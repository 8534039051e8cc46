// Trades the key for a cookie. The key is in the address's fragment, or typed.

/** The key that a fragment has, or "". */
export function keyIn(fragment) {
  return /^#key=([a-z0-9]{1,64})$/i.exec(fragment)?.[1] ?? "";
}

const form = document.getElementById("login");
const why = document.getElementById("why");

/** Sends a key, and opens the page if it is the right one. */
async function enter(key) {
  why.textContent = "";
  try {
    const answer = await fetch("login", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ key }) });
    if (answer.ok) {
      location.reload();
      return;
    }
    why.textContent = (await answer.json()).error ?? answer.statusText;
  } catch {
    why.textContent = "The registry does not answer.";
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  enter(form.key.value);
});

const key = keyIn(location.hash);
if (key) {
  window.history.replaceState(null, "", location.pathname + location.search); // the key is not to stay in the history
  enter(key);
} else if ((await fetch("login").catch(() => null))?.ok) {
  location.reload(); // a link of another site has led here, and the browser has kept the cookie back
}
