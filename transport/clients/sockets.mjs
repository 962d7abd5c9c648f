// Drives graphql-ws, as applications do, and fails on the first thing that is not as promised.
import assert from 'node:assert/strict';
import { createClient } from 'graphql-ws';
import WebSocket from 'ws';
import { all, breaks, flood, listening, operations, play, sleep, until, url, wish } from './stage.mjs';

// open makes a client, with the list of how its connections ended: "code", and "code!" where an end has not answered the other's close frame.
function open({ on, ...options } = {}) {
  const ends = [];
  const client = createClient({
    url: url.replace(/^http/, 'ws'),
    webSocketImpl: WebSocket,
    retryWait: () => wish('publish'), // while it is away
    ...options,
    on: { ...on, closed: ({ code, wasClean }) => ends.push(`${code}${wasClean ? '' : '!'}`) },
  });
  return { client, ends };
}

async function answers() {
  let connections = 0;
  const { client, ends } = open({ lazy: false, on: { connected: () => connections++ } });
  await operations(client);
  await assert.rejects(all(client, '{ helo }'), (errors) => errors[0].extensions.code === 'GRAPHQL_VALIDATION_FAILED');
  await assert.rejects(all(client, 'subscription { missing }'), (errors) => errors[0].extensions.code === 'INTERNAL');
  assert.equal(connections, 1, 'one socket is enough for all of this');
  await client.dispose();
  await until(() => ends.length > 0, () => 'the socket is open');
  assert.deepEqual(ends, ['1000']);
}

// The client sends the operation again by itself.
async function retries(from) {
  const listener = listening();
  let token = 'ending';
  const { client, ends } = open({
    connectionParams: () => ({ Authorization: `Bearer ${token}` }),
    on: { connected: () => listener.connection++ },
  });
  const leave = client.subscribe(listener.request, listener);
  const endToken = async () => {
    token = 'reader';
    await wish('end the token');
  };
  await breaks(listener, from, [endToken, () => wish('stop'), () => wish('cut')]);
  leave();
  await until(() => ends.length === 4, () => ends);
  assert.deepEqual(ends, ['4403', '1012', '1006!', '1000']);
  assert.ok(listener.completed);
}

// The application iterates, is told of the break, and iterates again.
async function iterates(from) {
  const listener = listening();
  const { client, ends } = open({ retryAttempts: 0, on: { connected: () => listener.connection++ } });
  const told = [];
  const iterating = (async () => {
    for (let over = false; !over; ) {
      try {
        for await (const result of client.iterate(listener.request)) {
          listener.next(result);
        }
        over = true;
      } catch (event) {
        told.push(event.code);
        await wish('publish');
      }
    }
  })();
  iterating.then(listener.complete, listener.error);
  await breaks(listener, from, [() => wish('stop'), () => wish('cut')]);
  assert.deepEqual(told, [1012, 1006]);
  await client.dispose(); // an operation that has failed keeps the client from closing by itself
  await until(() => ends.length === 3, () => ends);
  assert.deepEqual(ends, ['1012', '1006!', '1000']);
  await until(() => listener.completed, () => 'it iterates');
}

async function tooSlow(from) {
  const listener = listening();
  const { client, ends } = open({ retryWait: () => sleep(10), on: { connected: () => listener.connection++ } });
  const leave = client.subscribe(listener.request, listener);
  await flood(listener, from);
  leave();
  await until(() => ends.length === 2, () => ends);
  assert.deepEqual(ends, ['1013', '1000']);
}

// The client's pings are answered. When no pong comes back it gives the socket up, and the server, whose pings are lost too, does so as well.
async function keepsAlive(from) {
  const listener = listening();
  const pings = { sent: 0, answered: 0, got: 0 };
  let timeout;
  const { client, ends } = open({
    keepAlive: 200,
    on: {
      connected: () => listener.connection++,
      ping: (received) => {
        if (received) {
          pings.got++;
          return;
        }
        pings.sent++;
        timeout = setTimeout(() => client.terminate(), 2000); // as the client's documentation has it
      },
      pong: (received) => {
        if (received) {
          pings.answered++;
          clearTimeout(timeout);
        }
      },
    },
  });
  const leave = client.subscribe(listener.request, listener);
  await until(() => pings.answered >= 3 && pings.got >= 3, () => JSON.stringify(pings));
  assert.ok(pings.sent - pings.answered <= 1, JSON.stringify(pings));
  await breaks(listener, from, [() => wish('die')]);
  leave();
  await until(() => ends.length === 2, () => ends);
  clearTimeout(timeout);
  assert.deepEqual(ends, ['4499!', '1000']);
}

// A client that answers no ping is closed, whatever else it does.
async function noPongs() {
  const { client, ends } = open({ disablePong: true, keepAlive: 200, retryAttempts: 0 });
  await assert.rejects(all(client, 'subscription { ticks }'), ({ code, reason }) => code === 4408 && reason === 'no pong has come');
  assert.deepEqual(ends, ['4408']);
}

// However a client ends, it says so with 1000, and gets the same back. play sees to it that nothing is left.
async function ends(from) {
  for (const end of [(client, leave) => leave(), (client) => client.dispose()]) {
    const listener = listening();
    const { client, ends } = open();
    const leave = client.subscribe(listener.request, listener);
    await listener.saw(1);
    end(client, leave);
    await until(() => listener.completed && ends.length > 0, () => ends);
    assert.deepEqual(ends, ['1000']);
    assert.equal(await wish('nobody'), from);
  }
}

await play(answers, retries, iterates, tooSlow, keepsAlive, noPongs, ends);
