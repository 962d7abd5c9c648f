// In Chromium: what the scripts of a page elsewhere can do with the gateway. The arguments are the gateway's URL, the browser's path, the URL of a page that may use it,
// and of one that may not.
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

const [gateway, executablePath, welcome, stranger] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, headless: true, args: ['--no-sandbox', '--disable-gpu'] });

// tries everything in a page, and says of each what came of it.
async function tries(url) {
  const page = await browser.newPage();
  await page.goto(url);
  return page.evaluate(async (gateway) => {
    const or = (promise) => promise.catch((error) => error.name);
    const token = async () => {
      const answer = await fetch(`${gateway}/oauth2/token`, {
        method: 'POST', headers: { Authorization: `Basic ${btoa('demo:demo')}` }, body: new URLSearchParams({ grant_type: 'client_credentials' }),
      });
      return (await answer.json()).access_token;
    };
    const found = await or(token());
    const headers = { 'Content-Type': 'application/json', Authorization: `Bearer ${found}` };
    const ask = async () => {
      const answer = await fetch(`${gateway}/graphql`, { method: 'POST', headers, body: JSON.stringify({ query: '{ viewer { kind } }' }) });
      return [(await answer.json()).data.viewer.kind, answer.headers.get('X-Request-Id') !== null];
    };
    const wrong = async () => (await fetch(`${gateway}/graphql`, { method: 'POST', headers, body: '{' })).status;
    const simple = async () => (await (await fetch(`${gateway}/graphql?query={__typename}`)).json()).data.__typename;
    const stream = async () => {
      const answer = await fetch(`${gateway}/graphql`, {
        method: 'POST', headers: { ...headers, Accept: 'text/event-stream', 'Last-Event-ID': '' },
        body: JSON.stringify({ query: 'subscription ($after: Cursor) { events(after: $after) { sequence } }', variables: { after: null } }),
      });
      const reader = answer.body.getReader();
      const { value } = await reader.read();
      await reader.cancel();
      return new TextDecoder().decode(value).startsWith('retry');
    };
    const socket = () => new Promise((resolve) => {
      const ws = new WebSocket(`${gateway.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
      ws.onopen = () => { ws.close(); resolve('open'); };
      ws.onerror = () => resolve('refused');
    });
    return {
      token: typeof found === 'string' && found.length > 100, ask: await or(ask()), wrong: await or(wrong()), simple: await or(simple()), stream: await or(stream()),
      socket: await socket(),
    };
  }, gateway);
}

try {
  assert.deepEqual(await tries(welcome), { token: true, ask: ['BACKEND', true], wrong: 400, simple: 'Query', stream: true, socket: 'open' });
  assert.deepEqual(await tries(stranger), {
    token: false, ask: 'TypeError', wrong: 'TypeError', simple: 'TypeError', stream: 'TypeError', socket: 'refused',
  });
  console.log('passed');
} finally {
  await browser.close();
}
