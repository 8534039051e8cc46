// The colours of the style sheet (Okabe and Ito's palette, which is safe for colour
// blindness, made lighter or darker for each ground), for drawing on a canvas.

const NAMES = ["ground", "card", "ink", "soft", "line", "quiet", "flow", "load", "good", "bad", "warn", "odd", "route"];

let colours = null;

/** The colours by name, each as "r, g, b". */
export function palette() {
  if (colours) return colours;
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  colours = {};
  for (const name of NAMES) {
    probe.style.color = `var(--${name})`; // browsers resolve colours, but not custom properties
    colours[name] = getComputedStyle(probe).color.match(/[\d.]+/g).slice(0, 3).join(", ");
  }
  probe.remove();
  return colours;
}

export const colour = (name, alpha = 1) => `rgba(${palette()[name]}, ${alpha})`;

/** A colour between two, t from 0 to 1. */
export function blend(a, b, t, alpha = 1) {
  const p = palette(), x = p[a].split(","), y = p[b].split(",");
  return `rgba(${x.map((v, i) => Math.round(Number(v) + (Number(y[i]) - Number(v)) * t)).join(", ")}, ${alpha})`;
}

const CHOICES = [["", "◐", "as the system"], ["light", "☀", "light"], ["dark", "☾", "dark"]];

/** Lets the button in the header switch the colours, and calls changed when they have changed. */
export function theme(changed) {
  const button = document.getElementById("theme");
  const keep = {
    get() { try { return localStorage.getItem("ringdht-theme") ?? ""; } catch { return ""; } },
    set(v) { try { localStorage.setItem("ringdht-theme", v); } catch { /* without storage the choice lasts as long as the page */ } },
  };
  let at = Math.max(0, CHOICES.findIndex(([name]) => name === keep.get()));
  const use = () => {
    const [name, sign, words] = CHOICES[at];
    document.documentElement.dataset.theme = name;
    button.textContent = sign;
    button.setAttribute("aria-label", `Colours: ${words}`);
    button.title = `Colours: ${words}`;
    colours = null;
    changed();
  };
  button.addEventListener("click", () => {
    at = (at + 1) % CHOICES.length;
    keep.set(CHOICES[at][0]);
    use();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", use);
  use();
}
