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
  }

  show(on) {
    $("control").hidden = !on;
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
      says.dataset.tone = "good";
    } catch (e) {
      set(says, e.message);
      says.dataset.tone = "bad";
    }
    button.disabled = false;
  }
}
