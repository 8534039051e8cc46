#!/usr/bin/env node
// A messenger: it joins a ring, prints what comes, and sends what is typed.
//
//   node examples/javascript/main.mjs localhost:12345
import readline from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { Node } from './node.mjs';
import { Endpoint } from './rpc.mjs';

const [registry] = process.argv.slice(2);
if (process.argv.length !== 3) {
  console.error('usage: node main.mjs HOST:PORT, or the join line of a secure ring');
  process.exit(2);
}

const node = new Node({ registry });
node.on('log', (text) => console.error(text));
node.on('ready', () => console.log(`Ready: the ring has ${node.size} nodes.`));
node.on('undelivered', ({ to, reason, messages }) => console.log(`${messages.length} messages for ${to}: ${reason}`));
node.on('end', (err) => {
  if (err) console.error(err.message);
  process.exit(err ? 1 : 0);
});

const shown = (body) => body.toString().replace(/\p{Cc}/gu, '?'); // others must not command this terminal
const messages = node.service('', ({ source, body, hops }) => console.log(`Message from ${source} (${hops} ${hops === 1 ? 'hop' : 'hops'}): ${shown(body)}`));
const words = new Endpoint(node, 'words'); // answers requests
words.handle('upper', (text) => text.toUpperCase());
words.handle('wait', (ms, { signal }) => sleep(ms, ms, { signal }));

const commands = {
  send: (to, ...words) => messages.send(to, words.join(' ')),
  cast: (to, ...words) => messages.cast(to, words.join(' ')),
  call: async (to, method, ...text) => console.log(`Answer: ${await words.call(to, method, method === 'wait' ? Number(text[0]) : text.join(' '))}`),
  flush: async () => { await node.flush(); console.log('All that was sent is delivered.'); },
  members: () => console.log(node.members.join(' ')),
  trace: async (to) => { for (const { id, elapsed } of await node.trace(to)) console.log(`${id} after ${Number(elapsed) / 1e6} ms`); },
  counters: () => console.log(JSON.stringify(node.counters)),
  leave: () => node.leave(),
};

readline.createInterface({ input: process.stdin }).on('line', async (line) => {
  const [name, ...rest] = line.trim().split(/\s+/);
  if (!name) return;
  if (!Object.hasOwn(commands, name)) return console.log(`The commands are ${Object.keys(commands).join(', ')}.`);
  try {
    await commands[name](...rest);
  } catch (err) {
    console.log(`${name}: ${err.message}`);
  }
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => node.leave());

const waiting = setTimeout(() => console.error('The registry has not admitted this node yet: waiting.'), 3000);
node.join().then((id) => console.log(`This is node ${id}, at port ${node.port}.`), () => {}).finally(() => clearTimeout(waiting));
