// The commands that the page may give the ring, if the operator allows them.

import { $, ask, set } from "./dom.js";
import { duration, short, whole } from "./format.js";

export class Control {
  constructor() {
    $("control-setup-form").addEventListener("submit", (e) => this.submit(e, $("control-setup"), "setting up …", async () => {
      const a = await ask("setup", { k: Number($("control-k").value), plan: $("control-plan").value });
      const arrive = a.unreachable ? `${whole(a.unreachable)} routes do not arrive` : "all routes arrive";
      return `Set up: ${whole(a.nodes)} nodes with ${a.entries} entries, ${arrive}, mean ${a.mean_hops.toFixed(2)} hops.`;
    }));
    $("control-run-form").addEventListener("submit", (e) => this.submit(e, $("control-start"), "running …", async () => {
      const r = await ask("run", { messages: Number($("control-messages").value), payload: Number($("control-payload").value) });
      return `${r.verdict}: ${whole(r.received)} messages in ${duration(r.elapsed_ns)}, ${short(r.rate)} per second.`;
    }));
    $("control-stop").addEventListener("click", () => this.stop());
    this.stopping = 0; // the number of the run that was asked to stop
  }

  show({ ring, running }) {
    $("control").hidden = !ring.control;
    const stop = $("control-stop");
    stop.hidden = !ring.control || !running;
    stop.disabled = !!running && (running.stopping || running.number === this.stopping);
    this.running = running?.number ?? 0;
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
    if (button.disabled) return;
    const says = $("control-says");
    button.disabled = true;
    says.dataset.tone = "";
    set(says, meanwhile);
    try {
      set(says, await act());
      says.dataset.tone = says.textContent.startsWith("WRONG") ? "bad" : "good";
    } catch (e) {
      set(says, e.message);
      says.dataset.tone = "bad";
    }
    button.disabled = false;
  }
}
