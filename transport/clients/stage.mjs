// What the scripts have in common. The first argument is the server's URL. What the server is to do is asked for on standard output, a line a
// wish, and done when a line comes back.
import assert from 'node:assert/strict';
import { createInterface } from 'node:readline';

export const url = process.argv[2];
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const patience = 15_000; // ms

// wish resolves when the server has done it, with the number of the last item that is published.
export async function wish(what) {
  console.log(what);
  const [done, last] = (await answers.next()).value.split(' ');
  assert.equal(done, 'done', what);
  return Number(last);
}

// play runs one scene after the other. Each begins when nothing is left of the one before, with the number of the last item.
export async function play(...scenes) {
  for (const scene of scenes) {
    await scene(await wish('nobody'));
  }
  await wish('nobody');
  console.log('passed');
  process.exit(0);
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// until waits for something to become true, and says what there is instead where that takes too long.
export async function until(is, instead) {
  for (const end = Date.now() + patience; !is(); await sleep(5)) {
    assert.ok(Date.now() < end, `in vain: ${instead()}`);
  }
}

// all collects an operation's results until it completes.
export function all(client, query) {
  const results = [];
  return new Promise((resolve, reject) => {
    client.subscribe({ query }, { next: (r) => results.push(r), error: reject, complete: () => resolve(results) });
  });
}

// operations is what both clients get alike.
export async function operations(client) {
  const ended = 'subscription { parcels(after: "after-0", upTo: 2) { number } }';
  const data = async (query) => (await all(client, query)).map((result) => result.data);
  assert.deepEqual(await data('{ hello }'), [{ hello: 'hello' }]);
  assert.deepEqual(await data('mutation { ping }'), [{ ping: 'pong' }]);
  assert.deepEqual((await all(client, ended)).map(({ data }) => data.parcels.number), [1, 2]);
}

// listening is a subscription that goes on where it was when its client sends it again: the client writes its variables each time. What arrives is
// recorded as it is: nothing is left out, and nothing put in order.
export function listening() {
  let last;
  const listener = {
    connection: 0, // counted by the client's events
    seen: [], // "connection:number"
    failed: undefined,
    completed: false,
    request: {
      query: 'subscription($after: String) { latest(after: $after) { number } }',
      variables: {
        get after() {
          return last && `after-${last}`; // without it one begins with how things stand
        },
      },
    },
    next({ data }) {
      last = data.latest.number;
      listener.seen.push(`${listener.connection}:${last}`);
    },
    error: (error) => (listener.failed = error),
    complete: () => (listener.completed = true),
    // saw waits until so many have come.
    async saw(count) {
      const { seen } = listener;
      await until(() => seen.length >= count || listener.failed, () => `${count} were to come, and these came: ${seen}`);
      assert.equal(listener.failed, undefined);
    },
  };
  return listener;
}

// breaks has a subscriber of two items' connection broken in each way. One item comes while it is away, and one when it is back.
export async function breaks(listener, from, ways) {
  await listener.saw(1);
  await wish('publish');
  await listener.saw(2);
  const wanted = [`1:${from}`, `1:${from + 1}`];
  for (const [n, way] of ways.entries()) {
    await way();
    await listener.saw(wanted.length + 1);
    await wish('publish');
    await listener.saw(wanted.length + 2);
    wanted.push(`${n + 2}:${from + 2 * n + 2}`, `${n + 2}:${from + 2 * n + 3}`);
  }
  assert.deepEqual(listener.seen, wanted);
}

// flood has more published than may wait for the listener while nothing reaches it. It comes back, and gets all.
export async function flood(listener, from) {
  await listener.saw(1);
  await wish('publish');
  await listener.saw(2);
  await wish('flood');
  const to = await wish('publish');
  await listener.saw(to - from + 1);
  await wish('publish');
  await listener.saw(to - from + 2);
  const numbers = listener.seen.map((arrival) => Number(arrival.split(':')[1]));
  assert.deepEqual(numbers, Array.from({ length: to - from + 2 }, (_, n) => from + n));
  assert.ok(listener.seen.includes(`1:${from + 2}`), 'what was on its way arrives before the end');
  assert.equal(listener.connection, 2);
}
