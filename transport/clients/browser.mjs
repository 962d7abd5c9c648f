// In Chromium: a reader over fetch, which can send a token, goes on after a break by the last event's id. The first argument is the
// server's URL, the second the browser's path.
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';
import { url, wish } from './stage.mjs';

const executablePath = process.argv[3];
const browser = await chromium.launch({ executablePath, headless: true, args: ['--no-sandbox', '--disable-gpu'] });
try {
  const page = await browser.newPage();
  await page.exposeFunction('wish', wish);
  await page.goto(`${url}?query=%7Bhello%7D`); // a page of the server's origin
  const seen = await page.evaluate(async (address) => {
    const seen = [];
    let last = 'after-0';
    let wait = 5000;
    const asked = `${address}?query=${encodeURIComponent('subscription { secrets }')}`;
    for (let connection = 1; seen.length < 4; connection++) {
      const reading = new AbortController();
      const headers = { Accept: 'text/event-stream', Authorization: 'Bearer reader', 'Last-Event-ID': last };
      try {
        const { body } = await fetch(asked, { headers, signal: reading.signal });
        const reader = body.pipeThrough(new TextDecoderStream()).getReader();
        for (let text = ''; ;) {
          const { done, value } = await reader.read();
          if (done) {
            break;
          }
          const blocks = (text + value).split('\n\n');
          text = blocks.pop();
          for (const block of blocks) {
            const fields = new Map(block.split('\n').map((line) => line.split(/: ?(.*)/s)));
            wait = Number(fields.get('retry') ?? wait);
            if (fields.get('event') === 'complete') {
              throw new Error('completed');
            }
            if (fields.has('data')) {
              last = fields.get('id');
              seen.push(`${connection}:${JSON.parse(fields.get('data')).data.secrets}`);
              if (seen.length === 2 || seen.length === 3) {
                await wish('stop');
                await wish('publish');
              }
            }
          }
          if (seen.length >= 4) {
            reading.abort();
            break;
          }
        }
      } catch (error) {
        if (error.name !== 'TypeError' && error.name !== 'AbortError') {
          throw error;
        }
      }
      await new Promise((resolve) => setTimeout(resolve, Math.min(wait, 100)));
    }
    return { seen, wait };
  }, url);
  assert.deepEqual(seen, { seen: ['1:1', '1:2', '2:3', '3:4'], wait: 1000 });
  console.log('passed');
} finally {
  await browser.close();
}
process.exit(0);
