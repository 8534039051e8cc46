// The commands that the page may give the ring, if the operator allows them.

import { $, ask, set } from "./dom.js";
import { split } from "./lists.js";
import { duration, short, whole } from "./format.js";

/** The tone of a verdict. Pure. */
export const tone = (verdict) => ({ exact: "good", WRONG: "bad", balanced: "warn" })[split(verdict)[0]] ?? "other";

export class Control {
  constructor() {
    $("control-setup-form").addEventListener("submit", (e) => this.submit(e, $("control-setup"), "setting up …", async () => {
      const a = await ask("setup", { k: Number($("control-k").value), plan: $("control-plan").value });
      const arrive = a.unreachable ? `${whole(a.unreachable)} routes do not arrive` : "all routes arrive";
      return [`Set up: ${whole(a.nodes)} nodes with ${a.entries} entries, ${arrive}, mean ${a.mean_hops.toFixed(2)} hops.`, a.unreachable ? "bad" : "good"];
    }));
    $("control-run-form").addEventListener("submit", (e) => this.submit(e, $("control-start"), "running …", async () => {
      const r = await ask("run", { messages: Number($("control-messages").value), payload: Number($("control-payload").value) });
      return [`${r.verdict}: ${whole(r.received)} messages in ${duration(r.elapsed_ns)}, ${short(r.rate)} per second.`, tone(r.verdict)];
    }));
    $("control-stop").addEventListener("click", () => this.stop());
    this.busy = new Set(); // the buttons whose requests are under way
    this.stopping = 0; // the number of the run that was asked to stop
  }

  show({ ring, running, members }) {
    $("control").hidden = !ring.control;
    const stop = $("control-stop");
    stop.hidden = !ring.control || !running;
    stop.disabled = !!running && (running.stopping || running.number === this.stopping);
    this.running = running?.number ?? 0;
    $("control-start").disabled = this.running > 0 || this.busy.has($("control-start"));
    document.body.classList.toggle("apart", !ring.live);
    if (this.busy.size || $("control-says").dataset.tone) return;
    set($("control-says"), ring.live ? "" : members.length > 1 ? `“Set up” connects the ${whole(members.length)} nodes. Then runs can start.` : "");
  }

  /** Stops the run under way. Its verdict is in the list of runs. */
  async stop() {
    this.stopping = this.running;
    $("control-stop").disabled = true;
    try {
      await ask("stop", {});
    } catch (e) {
      this.stopping = 0;
      set($("control-says"), e.message);
      $("control-says").dataset.tone = "bad";
    }
  }

  async submit(event, button, meanwhile, act) {
    event.preventDefault();
    if (button.disabled || this.busy.has(button)) return;
    const says = $("control-says");
    button.disabled = true;
    this.busy.add(button);
    says.dataset.tone = "";
    set(says, meanwhile);
    try {
      const [text, tone] = await act();
      set(says, text);
      says.dataset.tone = tone;
    } catch (e) {
      set(says, e.message);
      says.dataset.tone = "bad";
    }
    this.busy.delete(button);
    button.disabled = button === $("control-start") && this.running > 0;
  }
}
