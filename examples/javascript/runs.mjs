// Traffic runs (section 13): what was sent, received and relayed, so that the registry can balance it.

// Sum adds i32 values exactly: a Number is exact up to 2^53, the rest is a BigInt.
class Sum {
  #low = 0;
  #high = 0n;

  add(v) {
    this.#low += v;
    if (this.#low > 2 ** 52 || this.#low < -(2 ** 52)) {
      this.#high += BigInt(this.#low);
      this.#low = 0;
    }
  }

  get value() { return this.#high + BigInt(this.#low); }
}

// Count is a number of messages and the sum of their values.
class Count {
  n = 0;
  sum = new Sum();

  add(value) {
    this.n++;
    this.sum.add(value);
  }

  takeBack(value) {
    this.n--;
    this.sum.add(-value);
  }
}

class Counters {
  relayed = 0;
  wasted = 0;
  hops = 0;
  maxHops = 0;
  sent = new Count();
  unknown = new Count();
  received = new Count();
  pairs = new Map(); // by the other node: { sent, unknown, received }

  with(id) {
    let p = this.pairs.get(id);
    if (!p) this.pairs.set(id, (p = { sent: new Count(), unknown: new Count(), received: new Count() }));
    return p;
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const portOf = (run) => 128 + Number(run % 128n);

export class Runs {
  #byPort = new Map();
  #task = null;
  #last = { run: null };

  constructor(life) { this.life = life; }

  get run() { return this.#task?.run ?? 0n; }
  get progress() { return { sent: this.#task ? this.#at(portOf(this.run)).sent.n : 0, received: this.#task ? this.#at(portOf(this.run)).received.n : 0 }; }

  #at(port) {
    let c = this.#byPort.get(port);
    if (!c) this.#byPort.set(port, (c = new Counters()));
    return c;
  }

  #only(port) { for (const p of this.#byPort.keys()) if (p !== port) this.#byPort.delete(p); }

  relayed(port, n) { this.#at(port).relayed += n; }
  wasted(port, n) { if (n > 0) this.#at(port).wasted += n; }

  received(port, from, body, hops) {
    if (body.length < 4) return this.wasted(port, hops - 1); // it has no value
    const c = this.#at(port);
    const value = body.readInt32BE(0);
    c.received.add(value);
    c.with(from).received.add(value);
    c.hops += hops;
    c.maxHops = Math.max(c.maxHops, hops);
  }

  // ended takes what came of a message whose stream has ended. One that was not handled goes to another sink.
  ended(to, { port, body, unknown }) {
    const c = this.#at(port);
    for (const x of [c, c.with(to)]) unknown ? x.unknown.add(body.readInt32BE(0)) : x.sent.takeBack(body.readInt32BE(0));
    const task = this.#task;
    if (unknown || !task || port !== portOf(task.run)) return;
    task.left++;
    task.sinks = task.sinks.filter((id) => id !== to);
  }

  // task sends the messages of a Task, and answers Finished when all are delivered.
  task({ run, messages, payload, error }) {
    if (run < this.run) return;
    if (error || messages < 0 || messages > 2 ** 40 || (messages && (payload < 4 || payload > this.life.maxPayload))) {
      return this.life.toRegistry('Finished', { run, error: error ?? 'this task is out of the limits' });
    }
    this.#only(portOf(run));
    if (run === this.run) {
      if (!messages) this.#stop();
      if (this.#task.finished) this.#finish(this.#task);
      return;
    }
    this.#stop();
    this.#task = { run, left: messages, payload, stopped: messages === 0, finished: false, error: '', sinks: [...this.life.others.keys()].filter((id) => !this.life.idle.has(id)) };
    this.#work(this.#task);
  }

  // stop breaks off sending, also of the message that waits for a window.
  #stop() {
    if (!this.#task) return;
    this.#task.stopped = true;
    for (const s of this.life.sources[0].values()) s.cancel(portOf(this.#task.run));
  }

  leave() {
    this.#stop();
    this.#task = null;
  }

  async #work(task) {
    const used = new Set();
    const stands = () => task === this.#task && !this.life.over;
    do {
      for (let i = 1; task.left > 0 && !task.stopped && stands(); i++) {
        if (!task.sinks.length) {
          task.error = 'there is no node to send to';
          break;
        }
        if (i % 2048 === 0) await turn();
        const to = task.sinks[Math.floor(Math.random() * task.sinks.length)];
        used.add(to);
        const value = (Math.random() * 2 ** 32) | 0;
        const body = Buffer.alloc(task.payload);
        body.writeInt32BE(value);
        try {
          const accepted = this.life.offer(to, 0, portOf(task.run), body);
          if (accepted) await accepted;
        } catch {
          if (!task.stopped) task.sinks = task.sinks.filter((id) => id !== to); // it is gone
          continue;
        }
        task.left--;
        for (const c of [this.#at(portOf(task.run)), this.#at(portOf(task.run)).with(to)]) c.sent.add(value);
      }
      for (const to of used) await this.life.sources[0].get(to)?.flushed();
    } while (task.left > 0 && !task.stopped && !task.error && stands());
    if (!stands()) return;
    task.finished = true;
    this.#finish(task);
  }

  #finish({ run, error }) { this.life.toRegistry('Finished', { run, error }); }

  // collect answers with the counters of a run, and starts from 0; the same again gets the same.
  collect(run) {
    const port = portOf(run);
    if (run !== this.#last.run) {
      const c = this.#at(port);
      const pair = (id, x) => ({ id, n: x.n, sum: x.sum.value });
      const all = [...c.pairs];
      this.#last = {
        run,
        summary: {
          run, sent: c.sent.n, received: c.received.n, relayed: c.relayed, wasted: c.wasted, sum_sent: c.sent.sum.value,
          sum_received: c.received.sum.value, unknown: c.unknown.n, sum_unknown: c.unknown.sum.value, hops: c.hops, max_hops: c.maxHops,
        },
        sent: all.filter(([, p]) => p.sent.n).map(([id, p]) => ({ ...pair(id, p.sent), unknown: p.unknown.n, sum_unknown: p.unknown.sum.value })),
        received: all.filter(([, p]) => p.received.n).map(([id, p]) => pair(id, p.received)).slice(0, 8192),
      };
      this.#byPort.clear();
    }
    this.life.toRegistry('Summary', this.#last.summary);
  }

  explain(run) {
    const { sent, received } = run === this.#last.run ? this.#last : { sent: [], received: [] };
    this.life.toRegistry('Pairs', { run, sent, received });
  }
}
