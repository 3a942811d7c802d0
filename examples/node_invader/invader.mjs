/** An invader in Node.js, on loopback, written from docs/protocol.md alone. */

import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';

import { Server, ServerCredentials } from '@grpc/grpc-js';
import Tinypool from 'tinypool';

import * as gallery from './gallery.mjs';
import { addHealth, addInvader } from './handlers.mjs';
import { enrolled } from './recognizer.mjs';
import { Invader } from './service.mjs';

const USAGE = 'usage: node invader.mjs --gallery FOLDER [--port 0..65535]';
const SIDES = { 'nearest-12': 12, 'nearest-20': 20 };
const MESSAGE_BYTES = 17_825_792;
const GRACE_MS = 5000;

try {
  await serve(options());
} catch (error) {
  console.error(`error: ${error.message}`);
  process.exit(2);
}

function options() {
  const declared = { gallery: { type: 'string' }, port: { type: 'string', default: '0' } };
  const { gallery, port } = parseArgs({ options: declared }).values;
  if (!gallery) throw new Error(`--gallery: expected a folder, got nothing; ${USAGE}`);
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65535) throw new Error(`--port: expected 0..65535, got ${port}; ${USAGE}`);
  return { folder: gallery, port };
}

async function serve({ folder, port }) {
  const { identities, people } = gallery.read(folder);
  const models = Object.fromEntries(Object.entries(SIDES).map(([name, side]) => [name, enrolled(side, people)]));
  const threads = availableParallelism();
  const pool = new Tinypool({
    filename: new URL('worker.mjs', import.meta.url).href,
    minThreads: threads,
    maxThreads: threads,
    workerData: models,
  });
  await pool.run({ image: new Uint8Array(), models: [] }); // a thread that cannot start fails here
  const server = new Server({
    'grpc.max_receive_message_length': MESSAGE_BYTES,
    'grpc.max_send_message_length': MESSAGE_BYTES,
  });
  let serving = true;
  addInvader(server, new Invader({ identities, models: Object.keys(SIDES), pool }));
  addHealth(server, () => serving);
  const bound = await listening(server, `127.0.0.1:${port}`);
  console.log(`listening on 127.0.0.1:${bound}`);
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => {
      serving = false;
      setTimeout(() => process.exit(0), GRACE_MS).unref();
      server.tryShutdown(() => process.exit(0));
    });
  }
}

function listening(server, address) {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => (error ? reject(error) : resolve(port)));
  });
}
