// Drives graphql-ws and graphql-sse against the URL in the first argument, as applications do, and fails on the first thing that is not as
// promised. What the server is to do meanwhile is asked for on standard output, a line a wish, and done when a line comes back.
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';
import { createClient as createSocketClient } from 'graphql-ws';
import { createClient as createStreamClient } from 'graphql-sse';
import WebSocket from 'ws';

const url = process.argv[2];
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function wish(what) {
  console.log(what);
  assert.equal((await answers.next()).value, 'done', what);
}

const ended = (after) => `subscription { parcels(after: "after-${after}", upTo: ${after + 2}) { number } }`;
const numbers = (results) => results.map(({ data }) => data.parcels.number);

// all collects an operation's results until it completes.
function all(client, query) {
  const results = [];
  return new Promise((resolve, reject) => {
    client.subscribe({ query }, { next: (r) => results.push(r), error: reject, complete: () => resolve(results) });
  });
}

async function common(client) {
  assert.deepEqual(await all(client, '{ hello }'), [{ data: { hello: 'hello' } }]);
  assert.deepEqual(await all(client, 'mutation { ping }'), [{ data: { ping: 'pong' } }]);
  assert.deepEqual(numbers(await all(client, ended(0))), [1, 2]);
}

// resuming listens from a number on, and after each break from where it was. It resolves once it has seen a number.
function resuming(subscribe, until, meanwhile) {
  const seen = [];
  return new Promise((resolve, reject) => {
    subscribe(() => seen.at(-1) ?? 0, (n) => {
      seen.push(n);
      if (n === until) {
        resolve(seen);
      } else {
        meanwhile(n).catch(reject);
      }
    }, reject);
  });
}

async function sockets() {
  const closed = [];
  let token = 'ending';
  let connections = 0;
  const client = createSocketClient({
    url: url.replace(/^http/, 'ws'),
    webSocketImpl: WebSocket,
    retryAttempts: 10,
    retryWait: () => new Promise((resolve) => setTimeout(resolve, 50)),
    lazy: false,
    connectionParams: () => ({ Authorization: `Bearer ${token}` }),
    on: { connected: () => connections++, closed: (event) => closed.push(event.code) },
  });
  await common(client);
  await assert.rejects(all(client, '{ helo }'), (errors) => errors[0].extensions.code === 'GRAPHQL_VALIDATION_FAILED');
  await assert.rejects(all(client, 'subscription { missing }'), (errors) => errors[0].extensions.code === 'INTERNAL');
  assert.equal(connections, 1, 'one socket is enough for all of this');

  const seen = await resuming((last, next, error) => {
    // graphql-ws sends the operation again by itself after a break, as it was: from the first number on.
    let highest = last();
    client.subscribe({ query: 'subscription { ticks(after: "after-0") }' }, {
      next: ({ data }) => {
        if (data.ticks > highest) {
          highest = data.ticks;
          next(highest);
        }
      },
      error,
      complete: () => error(new Error('completed')),
    });
  }, 5, async (n) => {
    if (n === 3) {
      token = 'reader';
      await wish('end the token');
      while (!closed.includes(4403)) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      await wish('publish');
    } else if (n === 4) {
      await wish('stop');
      await wish('publish');
    } else if (n === 2) {
      await wish('publish');
    }
  });
  assert.deepEqual(seen, [1, 2, 3, 4, 5]);
  assert.deepEqual(closed, [4403, 1012]);
  assert.equal(connections, 3);
  await client.dispose();
}

async function streams() {
  let token = 'reader';
  const client = createStreamClient({ url, retryAttempts: 0, headers: () => ({ Authorization: `Bearer ${token}` }) });
  await common(client);
  const [refused] = await all(client, '{ helo }');
  assert.equal(refused.errors[0].extensions.code, 'GRAPHQL_VALIDATION_FAILED');
  const again = await all(client, 'subscription { missing }');
  assert.equal(again[0].errors[0].extensions.code, 'INTERNAL');
  token = 'nobody';
  await assert.rejects(all(client, '{ hello }'), (error) => error.response.status === 401);
  client.dispose();
}

await sockets();
await streams();
console.log('passed');
process.exit(0);
