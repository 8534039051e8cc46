// Requests, as docs/rpc.md has them: typed by their method's name, each answered once, many at a time.
import crypto from 'node:crypto';
import * as msgpack from './msgpack.mjs';

const Kind = { Request: 1, Ask: 2, Answer: 3, Failure: 4, Unknown: 5, Cancel: 6, Check: 7 };
const AT_ONCE = 256; // handlers that run; a source of more waits
const CALLS = 1024; // in one message

// RpcError is what the other side says, or what this one finds out. The handler has certainly not run
// if code is one of notHandled.
export class RpcError extends Error {
  constructor(code, text) {
    super(text || code);
    this.code = code;
  }
}
export const notHandled = ['rpc.no-method', 'rpc.no-service', 'rpc.leaving', 'rpc.backlog', 'rpc.malformed', 'rpc.not-sent'];

const number = (call) => {
  const b = Buffer.alloc(8);
  b.writeBigUInt64BE(call);
  return b;
};
const text = (s, most) => {
  const b = Buffer.from(s).subarray(0, most);
  return Buffer.concat([Buffer.of(b.length), b]);
};
const list = (body) => Array.from({ length: Math.min(CALLS, Math.floor((body.length - 1) / 8)) }, (_, i) => body.readBigUInt64BE(1 + 8 * i));

// parseRequest returns the parts of a Request, or throws.
function parseRequest(b) {
  let at = 13;
  const take = (n) => {
    if (at + n > b.length) throw new Error('the request is cut off');
    at += n;
    return b.subarray(at - n, at);
  };
  const method = take(take(1)[0]).toString();
  const meta = {};
  for (let n = take(1)[0]; n > 0; n--) {
    const key = take(take(1)[0]).toString();
    meta[key] = take(take(2).readUInt16BE()).toString();
  }
  return { time: b.readUInt32BE(9), method, meta, value: msgpack.decode(b.subarray(at)) };
}

// Endpoint answers requests for its methods, and makes requests to endpoints of the same name.
// Make it before the node joins.
export class Endpoint {
  #node;
  #requests;
  #answers;
  #methods = new Map();
  #running = new Map(); // by caller and call: the AbortController of its handler
  #slots = [];
  #leaving = false;
  #drained = () => {};
  #pending = new Map(); // by call
  #next = crypto.randomBytes(8).readBigUInt64BE();

  constructor(node, name) {
    this.#node = node;
    this.#requests = node.service(name, (m) => this.#take(m, this.#requests));
    this.#answers = node.service(`${name}~answers`, (m) => this.#take(m, this.#answers));
    node.on('undelivered', (what) => this.#undelivered(what));
    node.onLeave(() => this.#leave());
    setInterval(() => this.#ask((c) => performance.now() - c.since > 1000), 1000).unref();
  }

  // leave takes no new requests, and waits until those that run are answered.
  #leave() {
    this.#leaving = true;
    return this.#running.size ? new Promise((resolve) => { this.#drained = resolve; }) : null;
  }

  // handle registers a method: handler(value, { source, meta, signal }) returns the answer, or throws
  // an RpcError, whose code the caller sees. signal is aborted when the caller gives up.
  handle(method, handler) { this.#methods.set(method, handler); }

  // call returns the answer of a node. It rejects with an RpcError; without a timeout it waits as
  // long as the node lives.
  call(to, method, value, { timeout = 0 } = {}) {
    const call = (this.#next = BigInt.asUintN(64, this.#next + 1n));
    const time = Buffer.alloc(4);
    time.writeUInt32BE(Math.ceil(timeout));
    const body = Buffer.concat([Buffer.of(Kind.Request), number(call), time, text(method, 255), Buffer.of(0), msgpack.encode(value)]);
    return new Promise((resolve, reject) => {
      const c = { to: BigInt(to), since: performance.now(), resolve, reject, timer: null };
      this.#pending.set(call, c);
      if (timeout) {
        c.timer = setTimeout(() => {
          this.#end(call, (c) => c.reject(new RpcError('rpc.deadline', `no answer within ${timeout} ms`)));
          this.#answers.send(to, Buffer.concat([Buffer.of(Kind.Cancel), number(call)])).catch(() => {});
        }, timeout);
      }
      this.#requests.send(to, body).catch((err) => this.#fail([call], 'rpc.not-sent', err.message));
    });
  }

  #end(call, then) {
    const c = this.#pending.get(call);
    if (!c) return;
    this.#pending.delete(call);
    clearTimeout(c.timer);
    then(c);
  }

  #fail(calls, code, why) { for (const call of calls) this.#end(call, (c) => c.reject(new RpcError(code, why))); }

  // ask finds out whether a callee still knows the calls. If it cannot be asked, they have ended.
  #ask(which) {
    const byNode = new Map();
    for (const [call, c] of this.#pending) if (which(c)) byNode.set(c.to, [...(byNode.get(c.to) ?? []), call].slice(0, CALLS));
    for (const [to, calls] of byNode) {
      this.#requests.send(to, Buffer.concat([Buffer.of(Kind.Ask), ...calls.map(number)])).catch((err) => this.#fail(calls, 'rpc.unknown', err.message));
    }
  }

  #undelivered({ service, to, reason, again, messages }) {
    for (const { body, unknown } of messages) {
      if (service === this.#answers.name && again && (body[0] === Kind.Answer || body[0] === Kind.Failure)) this.#answers.send(to, body).catch(() => {});
      if (service !== this.#requests.name) continue;
      if (body[0] === Kind.Request && !unknown) this.#fail([body.readBigUInt64BE(1)], 'rpc.not-sent', reason);
      else if (!again) this.#fail(body[0] === Kind.Ask ? list(body) : [body.readBigUInt64BE(1)], 'rpc.unknown', reason);
    }
    if (service === this.#requests.name) this.#ask((c) => c.to === to);
  }

  // take handles a message. It returns a promise if its source is to wait.
  #take({ source, body, cast }, service) {
    if (cast || body.length < 9) return undefined;
    const call = body.readBigUInt64BE(1);
    switch (body[0]) {
      case Kind.Request: return this.#request(source, call, body, service);
      case Kind.Ask: return this.#tell(source, Kind.Unknown, list(body).filter((n) => !this.#running.has(`${source}/${n}`)));
    }
    if (service !== this.#answers) return undefined;
    switch (body[0]) {
      case Kind.Answer: return this.#end(call, (c) => c.resolve(msgpack.decode(body.subarray(9))));
      case Kind.Failure: {
        const code = body.toString('utf8', 10, 10 + body[9]);
        return this.#end(call, (c) => c.reject(new RpcError(code, body.toString('utf8', 10 + body[9]))));
      }
      case Kind.Unknown: return this.#fail(list(body), 'rpc.unknown', 'the node does not know of this call: it may have been handled');
      case Kind.Cancel: for (const n of list(body)) this.#running.get(`${source}/${n}`)?.abort(); return undefined;
      case Kind.Check: return this.#tell(source, Kind.Cancel, list(body).filter((n) => !this.#pending.has(n)));
    }
    return undefined;
  }

  #tell(to, kind, calls) { if (calls.length) this.#answers.send(to, Buffer.concat([Buffer.of(kind), ...calls.map(number)])).catch(() => {}); }

  #request(source, call, body, service) {
    if (this.#running.size < AT_ONCE) return void this.#run(source, call, body);
    if (service === this.#answers) return void this.#failure(source, call, new RpcError('rpc.backlog', 'too many requests'));
    return new Promise((resolve) => this.#slots.push(resolve)).then(() => void this.#run(source, call, body));
  }

  async #run(source, call, body) {
    const key = `${source}/${call}`;
    const abort = new AbortController();
    this.#running.set(key, abort);
    let timer;
    try {
      let r;
      try {
        r = parseRequest(body);
      } catch (err) {
        throw new RpcError('rpc.malformed', err.message);
      }
      if (this.#leaving) throw new RpcError('rpc.leaving', 'this node is about to leave');
      const handler = this.#methods.get(r.method);
      if (!handler) throw new RpcError(this.#methods.size ? 'rpc.no-method' : 'rpc.no-service', `there is no method ${JSON.stringify(r.method)}`);
      if (r.time) timer = setTimeout(() => abort.abort(), r.time);
      const value = await handler(r.value, { source, meta: r.meta, signal: abort.signal });
      if (!abort.signal.aborted) await this.#answers.send(source, Buffer.concat([Buffer.of(Kind.Answer), number(call), msgpack.encode(value)]));
      else this.#failure(source, call, new RpcError('rpc.canceled', 'the caller gave up'));
    } catch (err) {
      this.#failure(source, call, err);
    }
    clearTimeout(timer);
    this.#running.delete(key);
    this.#slots.shift()?.();
    if (!this.#running.size) this.#drained();
  }

  #failure(source, call, err) {
    const code = err instanceof RpcError ? err.code : 'rpc.panic';
    const why = Buffer.from(err.message).subarray(0, 1024);
    this.#answers.send(source, Buffer.concat([Buffer.of(Kind.Failure), number(call), text(code, 255), why])).catch(() => {});
  }
}
