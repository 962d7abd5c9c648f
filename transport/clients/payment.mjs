// Drives graphql-ws or graphql-sse against the gateway itself, as an application follows a payment: the connection is cut between two captures, and
// the client goes on by the cursor of what it saw last. The arguments are the URL, the client's name, a token and the payment.
import assert from 'node:assert/strict';
import * as sse from 'graphql-sse';
import * as ws from 'graphql-ws';
import WebSocket from 'ws';
import { until, url, wish } from './stage.mjs';

const [name, token, paymentId] = process.argv.slice(3);
const Authorization = `Bearer ${token}`;
const query = `subscription ($paymentId: ID!, $after: Cursor) { paymentStatus(paymentId: $paymentId, after: $after) {
  cursor sequence snapshot status payment { captured { amount } } } }`;

// open makes the client. away is called before it comes back.
const open = {
  'graphql-ws': (on, away) =>
    ws.createClient({ url: url.replace(/^http/, 'ws'), webSocketImpl: WebSocket, connectionParams: { Authorization }, retryWait: away, on }),
  'graphql-sse': (on, away) => sse.createClient({ url, headers: { Authorization }, retry: away, on }),
}[name];

// follow subscribes, after a cursor if there is one. Each time that the client sends the operation, it is after the last cursor that has come.
function follow(after, away) {
  const follower = { connection: 0, seen: [], cursors: [], failed: undefined, completed: false };
  const variables = {
    paymentId,
    get after() {
      return follower.cursors.at(-1) ?? after;
    },
  };
  open({ connected: () => follower.connection++ }, away).subscribe({ query, variables }, {
    next({ data: { paymentStatus: { cursor, sequence, snapshot, status } } }) {
      follower.cursors.push(cursor);
      follower.seen.push(`${follower.connection}: ${sequence} ${status}${snapshot ? ', as it is' : ''}`);
    },
    error: (error) => (follower.failed = error),
    complete: () => (follower.completed = true),
  });
  follower.until = async (is) => {
    await until(() => is() || follower.failed, () => `these came: ${follower.seen}`);
    assert.equal(follower.failed, undefined);
  };
  return follower;
}

const payer = follow(undefined, () => wish('capture a part'));
const saw = (count) => payer.until(() => payer.seen.length >= count);
await saw(1);
await wish('confirm');
await saw(2);
await wish('cut');
await saw(3);
await wish('capture the rest');
await payer.until(() => payer.completed);
assert.deepEqual(payer.seen, [
  '1: 1 REQUIRES_PAYMENT_METHOD, as it is', '1: 2 AUTHORIZED', '2: 3 PARTIALLY_CAPTURED', '2: 4 SUCCEEDED',
]);

// Whoever has lost what came after a cursor gets it, and the end: also where that is all, and money has been given back since.
await wish('refund');
for (const [n, cursor] of payer.cursors.entries()) {
  const again = follow(cursor, () => assert.fail('it was not cut'));
  await again.until(() => again.completed);
  assert.deepEqual(again.seen, payer.seen.slice(n + 1).map((arrival) => arrival.replace(/^\d/, '1')));
}
console.log('passed');
process.exit(0);
