// Drives graphql-sse, as applications do, and fails on the first thing that is not as promised. It sends no Last-Event-ID, and its streams go on
// by an argument.
import assert from 'node:assert/strict';
import { createClient } from 'graphql-sse';
import { all, breaks, flood, listening, operations, play, sleep, until, url, wish } from './stage.mjs';

async function answers() {
  let token = 'reader';
  const client = createClient({ url, retryAttempts: 0, headers: () => ({ Authorization: `Bearer ${token}` }) });
  await operations(client);
  const [refused] = await all(client, '{ helo }');
  assert.equal(refused.errors[0].extensions.code, 'GRAPHQL_VALIDATION_FAILED');
  const again = await all(client, 'subscription { missing }');
  assert.equal(again[0].errors[0].extensions.code, 'INTERNAL');
  token = 'nobody';
  await assert.rejects(all(client, '{ hello }'), (error) => error.response.status === 401);
  client.dispose();
}

// The client sends the operation again by itself.
async function retries(from) {
  const listener = listening();
  const on = { connected: () => listener.connection++ };
  const client = createClient({ url, on, retry: () => wish('publish') });
  const leave = client.subscribe(listener.request, listener);
  await breaks(listener, from, [() => wish('stop'), () => wish('cut'), () => wish('stop')]);
  leave();
  await until(() => listener.completed, () => 'it goes on');
}

// Who is too slow is told so by an error, and comes back, since the stream does not complete.
async function tooSlow(from) {
  const listener = listening();
  const told = [];
  const sink = { ...listener, next: (result) => (result.errors ? told.push(result.errors[0].extensions.code) : listener.next(result)) };
  const on = { connected: () => listener.connection++ };
  const client = createClient({ url, on, retry: () => sleep(10) });
  client.subscribe(listener.request, sink);
  await flood(listener, from);
  assert.deepEqual(told, ['UNAVAILABLE']);
  client.dispose();
}

// An error in an item is shown with the rest of it, and the stream goes on.
async function errorsInItems() {
  const client = createClient({ url, retryAttempts: 0 });
  const results = await all(client, 'subscription { parcels(after: "after-0", upTo: 2) { number panics } }');
  assert.deepEqual(results.map(({ data }) => data), [{ parcels: { number: 1, panics: null } }, { parcels: { number: 2, panics: null } }]);
  for (const { errors: [error, ...more] } of results) {
    assert.deepEqual([error.path, error.extensions.code, more], [['parcels', 'panics'], 'INTERNAL', []]);
  }
}

// A token that ends in mid-stream ends it by an error. The client takes that for its end, and the application begins again with a new token.
async function tokenEnds(from) {
  const listener = listening();
  let token = 'ending';
  const headers = () => ({ Authorization: `Bearer ${token}` });
  const client = createClient({ url, headers, on: { connected: () => listener.connection++ }, retryAttempts: 0 });
  let ended;
  const sink = { ...listener, next: (result) => (result.errors ? (ended = result) : listener.next(result)) };
  client.subscribe(listener.request, sink);
  await breaks(listener, from, [async () => {
    await until(() => listener.completed, () => listener.seen);
    assert.equal(ended.errors[0].extensions.code, 'UNAUTHENTICATED');
    token = 'reader';
    await wish('publish');
    client.subscribe(listener.request, sink);
  }]);
  client.dispose();
}

await play(answers, retries, tooSlow, errorsInItems, tokenEnds);
