// Drives GraphiQL in Chromium as a user would, and fails on the first thing that is not as promised:
//
//   node check.mjs --url http://127.0.0.1:8080 [--chromium /usr/bin/chromium] [--standin]
//                  [--live] [--screenshot page.png] [--dark] [--size 1280x800]
//
// --standin says that the server is the stand-in of standin_test.go, which also lets tokens end early;
// --live, that the server is not in its demo.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";

const { values: flags } = parseArgs({
  options: {
    url: { type: "string" },
    chromium: { type: "string", default: "/usr/bin/chromium" },
    live: { type: "boolean", default: false },
    standin: { type: "boolean", default: false },
    screenshot: { type: "string" },
    dark: { type: "boolean", default: false },
    size: { type: "string", default: "1280x800" },
  },
});
const origin = new URL(flags.url).origin;
const [width, height] = flags.size.split("x").map(Number);
const waitMs = 15_000;

const asked = []; // paths of this origin
const outside = []; // requests to other origins
const troubles = []; // console errors, page errors, violations of the policy
let expected401 = 0; // the browser reports a 401 as a console error

const profile = mkdtempSync(join(tmpdir(), "graphiql-chromium-"));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: flags.chromium,
  headless: true,
  viewport: { width, height },
  colorScheme: flags.dark ? "dark" : "light",
  // Nothing but the server can be found, whatever the page might try.
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    `--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE ${new URL(origin).hostname}`,
  ],
});
async function check(page) {
  page.setDefaultTimeout(waitMs);
  await watch(page);
  if (flags.standin) {
    await page.routeWebSocket(/\/graphql$/, answerSubscriptions);
  }
  await page.goto(origin + "/");
  await page.locator(".graphiql-query-editor .view-lines").waitFor();
  await (flags.live ? checkLive(page) : checkDemo(page));
  assert.deepEqual(outside, [], "requests left the origin");
  assert.deepEqual(troubles, [], "console errors or violations of the policy");
}

async function checkLive(page) {
  await step("the headers tab says how to get a token", async () => {
    await eventually("the hint", async () => (await headersOf(page)).includes(`curl ${origin}/oauth2/token`));
    await page.locator(".graphiql-editor-tool .view-lines", { hasText: "access token" }).waitFor({ state: "visible" });
  });
  await step("the page fetches no token and names no credential", async () => {
    assert.deepEqual(asked.filter((path) => path.startsWith("/oauth2")), []);
    assert.doesNotMatch(await page.locator(".top-bar").innerText(), /demo|secret/i);
  });
  await step("completions need no token where introspection is open", () => complete(page));
  await step("keys are made, and stay over a reload", async () => {
    await showTab(page, "Pay");
    const key = await eventually("a key", () => keyOf(page));
    await page.waitForTimeout(1000); // GraphiQL saves half a second after a change
    await page.reload();
    await eventually("the key", async () => (await keyOf(page)) === key);
  });
}

async function checkDemo(page) {
  await step("the demo's token is in the headers tab", () => tokenInHeaders(page));
  await step("Accounts runs and shows rows", async () => {
    const { data } = await run(page, "Accounts");
    assert.ok(data.accounts.nodes.length >= 2, "fewer than two accounts");
    assert.match(data.accounts.nodes[0].balance.available.amount, /^-?\d+(\.\d+)?$/);
  });
  if (flags.screenshot) {
    await page.waitForTimeout(1000);
    await page.screenshot({ path: flags.screenshot });
  }
  await step("Pay pays, replays, and pays again with a new key", () => pay(page));
  await step("money is set aside and captured, each replays, and a new key captures again", () => capture(page));
  await step("Payments shows what was captured", async () => {
    const { nodes } = (await run(page, "Payments")).data.payments;
    assert.ok(nodes.some(({ captures }) => captures.nodes.length > 0), "no payment shows a capture");
  });
  await step("the other tabs run on the demo's data", async () => {
    assert.equal((await run(page, "Transfer")).data.transferFunds.__typename, "TransferFundsSuccess");
    const { data } = await run(page, "Account");
    assert.ok(data.account.transactions.nodes.length > 0, "the account shows no transactions");
    assert.ok((await run(page, "Events")).data.events.edges.length > 0, "no events");
    assert.ok((await run(page, "Idempotency")).data.idempotentRequest, "the Pay tab's request is not known");
  });
  await step("no tab is marked as wrong", () => unmarked(page));
  await step("completions come from the schema", () => complete(page));
  await step("Monaco's three workers run, from files", () => workers(page));
  await step("a wrong field is marked", () => marksWrongField(page));
  await step("the explorer opens and edits the operation", () => explore(page));
  await step("the documentation opens", () => documentation(page));
  await step("the keyboard alone runs an operation", () => keyboard(page));
  if (flags.standin) {
    await step("the token is renewed before it ends", () => renewed(page));
    await step("a refused token is replaced and the operation runs", () => replacedAfter401(page));
    await step("the user's own header is left alone", () => ownHeader(page));
    await step("a subscription runs over graphql-transport-ws", () => subscription(page));
  } else {
    await step("a payment in one window appears in another", () => live(page));
  }
  await step("tabs survive a reload, with new keys", () => reload(page));
}

async function watch(page) {
  page.context().on("request", (request) => {
    const { protocol, origin: target, pathname } = new URL(request.url());
    asked.push(pathname);
    if (protocol !== "data:" && target !== origin) {
      outside.push(request.url());
    }
  });
  page.on("websocket", (socket) => {
    if (new URL(socket.url()).host !== new URL(origin).host) {
      outside.push(socket.url());
    }
  });
  page.on("console", (message) => {
    if (message.type() !== "error" && message.type() !== "warning") {
      return;
    }
    if (expected401 > 0 && message.text().includes("status of 401")) {
      expected401--;
      return;
    }
    troubles.push(`${message.type()}: ${message.text()} (${message.location().url})`);
  });
  page.on("pageerror", (error) => troubles.push(`uncaught: ${error.stack}`));
  page.on("requestfailed", (request) => {
    const why = request.failure()?.errorText;
    if (why !== "net::ERR_ABORTED") { // which is the page's own doing: Monaco starts its JSON worker twice
      troubles.push(`failed: ${request.url()} ${why}`);
    }
  });
  await page.exposeFunction("reportViolation", (what) => troubles.push(`policy: ${what}`));
  await page.addInitScript(() =>
    addEventListener("securitypolicyviolation", (event) =>
      window.reportViolation(`${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`),
    ),
  );
}

async function step(promise, does) {
  try {
    await does();
  } catch (error) {
    console.log(`NOT OK  ${promise}\n${troubles.join("\n")}`);
    if (flags.screenshot) {
      await context.pages()[0].screenshot({ path: flags.screenshot });
    }
    throw error;
  }
  console.log(`ok  ${promise}`);
}

// eventually asks until the answer is there.
async function eventually(what, ask) {
  const end = Date.now() + waitMs;
  for (;;) {
    const answer = await ask();
    if (answer) {
      return answer;
    }
    assert.ok(Date.now() < end, `waited in vain for ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

// model reads an editor's text; GraphiQL leaves Monaco in a global.
function model(page, name) {
  return page.evaluate(
    (suffix) =>
      globalThis.__MONACO?.editor
        .getModels()
        .find((m) => m.uri.path.endsWith(suffix))
        ?.getValue() ?? "",
    name,
  );
}

const headersOf = (page) => model(page, "request-headers.json");
const tokenOf = async (page) => (await headersOf(page)).match(/"Authorization": "Bearer ([\w.-]+)"/)?.[1];
const keyOf = async (page) => (await model(page, "variables.json")).match(/"idempotencyKey": "([^"]+)"/)?.[1];

const showTab = (page, name) => page.locator(".graphiql-tab-button", { hasText: new RegExp(`^${name}$`) }).click();
const runButton = (page) => page.locator(".graphiql-execute-button");

// run shows a tab, runs its operation, and answers the response, which has no errors.
async function run(page, tab) {
  await showTab(page, tab);
  const named = new RegExp(`^(query|mutation|subscription) ${tab}\\b`, "m");
  await eventually(`the tab ${tab}`, async () => named.test(await model(page, "operation.graphql")));
  return runShown(page);
}

async function runShown(page) {
  await page.evaluate(() => globalThis.__MONACO.editor.getModels().find((m) => m.uri.path.endsWith("response.json")).setValue(""));
  await runButton(page).click();
  const text = await eventually("a response", () => model(page, "response.json"));
  const response = JSON.parse(text);
  assert.equal(response.errors, undefined, text);
  return response;
}

async function tokenInHeaders(page) {
  await eventually("a token", () => tokenOf(page));
  const shown = page.locator(".graphiql-editor-tool .view-lines", { hasText: "Authorization" });
  await shown.waitFor({ state: "visible" });
}

const pay = (page) => doneOnce(page, "Pay", "createPayment", ({ payment }) => payment.id);

async function capture(page) {
  const { payment } = await doneOnce(page, "Authorize", "createPayment", ({ payment }) => payment.id);
  assert.equal(payment.status, "AUTHORIZED");
  assert.ok(allowed(payment).includes("CAPTURE"), "what is set aside cannot be captured");
  const captured = await doneOnce(page, "Capture", "capturePayment", ({ capture }) => capture.id);
  assert.equal(captured.payment.status, "PARTIALLY_CAPTURED");
  assert.ok(allowed(captured.payment).includes("REFUND"), "what was captured cannot be refunded");
}

const allowed = ({ availableActions }) => availableActions.filter(({ allowed }) => allowed).map(({ action }) => action);

// doneOnce runs a tab's mutation twice, which does it once, then does it again with a new key, and answers what that has made.
async function doneOnce(page, tab, field, id) {
  const first = (await run(page, tab)).data[field];
  assert.match(first.__typename, /Success$/, JSON.stringify(first));
  assert.equal(first.replayed, false);
  const again = (await runShown(page)).data[field];
  assert.equal(again.replayed, true);
  assert.equal(id(again), id(first));
  const key = await keyOf(page);
  await page.getByRole("button", { name: "New idempotency key" }).click();
  await eventually("a new key", async () => (await keyOf(page)) !== key);
  const other = (await runShown(page)).data[field];
  assert.match(other.__typename, /Success$/, JSON.stringify(other));
  assert.equal(other.replayed, false);
  assert.notEqual(id(other), id(first));
  return other;
}

async function unmarked(page) {
  const marks = () =>
    page.evaluate(() =>
      globalThis.__MONACO.editor.getModelMarkers({}).map((mark) => `${mark.resource.path}: ${mark.message}`),
    );
  for (const tab of ["Accounts", "Pay", "Authorize", "Capture", "Payments", "Transfer", "Account", "Events", "Idempotency", "Live"]) {
    await showTab(page, tab);
    await page.waitForTimeout(700); // the marks come from workers, a moment later; those of the tab before go as late
    await eventually(`no marks in ${tab}`, async () => (await marks()).length === 0).catch(async () =>
      assert.deepEqual(await marks(), [], tab),
    );
  }
}

// write replaces the shown operation by what is typed.
async function write(page, text) {
  await page.locator(".graphiql-query-editor .view-lines").click();
  await page.keyboard.press("ControlOrMeta+A");
  await page.keyboard.press("Delete");
  await page.keyboard.type(text, { delay: 20 });
}

async function newTab(page) {
  await page.getByRole("button", { name: "New tab" }).click();
  await eventually("an empty tab", async () => (await model(page, "operation.graphql")) === "");
}

async function complete(page) {
  await newTab(page);
  await write(page, "{ acc");
  const suggestions = page.locator(".suggest-widget.visible .monaco-list-row");
  await suggestions.filter({ hasText: "accounts" }).first().waitFor();
  await page.keyboard.press("Escape");
}

async function workers(page) {
  await eventually("three workers", () => {
    const files = page.workers().map((worker) => worker.url().replace(origin, "").replace(/-[\w-]{8}\.js$/, ""));
    return ["editor", "graphql", "json"].every((name) => files.includes(`/graphiql/assets/${name}.worker`));
  });
}

async function marksWrongField(page) {
  await write(page, "{ nonsense }");
  await page.locator(".graphiql-query-editor .squiggly-error").first().waitFor();
}

async function explore(page) {
  await write(page, "query Explored { __typename }");
  await page.getByRole("button", { name: "Show GraphiQL Explorer" }).click();
  const field = page.locator(".graphiql-explorer-node", { hasText: /^accounts/ }).first();
  await field.waitFor();
  await field.locator("span").first().click();
  await eventually("the explorer's field", async () => (await model(page, "operation.graphql")).includes("accounts"));
  await page.getByRole("button", { name: "Hide GraphiQL Explorer" }).click();
}

async function documentation(page) {
  await page.getByRole("button", { name: "Show Documentation Explorer" }).click();
  await page.locator(".graphiql-doc-explorer", { hasText: "Mutation" }).waitFor();
  await page.getByRole("button", { name: "Hide Documentation Explorer" }).click();
}

async function keyboard(page) {
  const tab = page.locator(".graphiql-tab-button", { hasText: /^Accounts$/ });
  await tab.focus();
  await page.keyboard.press("Enter");
  await eventually("the tab", async () => (await model(page, "operation.graphql")).includes("query Accounts"));
  // Tab goes on from the tabs to the editor, Enter goes into it, and the shortcut runs what is there.
  await eventually("the editor's focus", async () => {
    await page.keyboard.press("Tab");
    return page.evaluate(() => document.activeElement?.matches(".graphiql-query-editor .graphiql-editor"));
  });
  await page.keyboard.press("Enter");
  await page.keyboard.press("Control+Enter");
  await eventually("rows", async () => (await model(page, "response.json")).includes('"nodes"'));
}

async function renewed(page) {
  const { life } = await command("life?seconds=4");
  assert.equal(life, 4);
  await command("refuse");
  expected401++;
  await run(page, "Accounts"); // fetches a token with the short life
  const short = await tokenOf(page);
  await eventually("a renewed token", async () => (await tokenOf(page)) !== short);
  await command("life?seconds=3600");
}

async function replacedAfter401(page) {
  const refused = await tokenOf(page);
  await command("refuse");
  expected401++;
  await run(page, "Accounts");
  const replaced = await eventually("another token", async () => (await tokenOf(page)) !== refused && tokenOf(page));
  await showTab(page, "Events"); // whose headers were made with the first token
  await eventually("the current token", async () => (await tokenOf(page)) === replaced);
  assert.equal(expected401, 0, "the server was to answer 401");
}

async function ownHeader(page) {
  await showTab(page, "Accounts");
  await page.evaluate(() =>
    globalThis.__MONACO.editor
      .getModels()
      .find((m) => m.uri.path.endsWith("request-headers.json"))
      .setValue('{ "Authorization": "Bearer mine" }'),
  );
  expected401++;
  await runButton(page).click();
  await eventually("the refusal", async () => (await model(page, "response.json")).includes("UNAUTHENTICATED"));
  assert.equal(await headersOf(page), '{ "Authorization": "Bearer mine" }');
  assert.equal(expected401, 0, "the server was to answer 401, once");
}

const opened = []; // what subscriptions sent in connection_init

// answerSubscriptions stands in for graphql-transport-ws, of which the stand-in server knows nothing.
function answerSubscriptions(socket) {
  socket.onMessage((text) => {
    const { type, id, payload } = JSON.parse(text);
    if (type === "connection_init") {
      opened.push(payload);
      socket.send(JSON.stringify({ type: "connection_ack" }));
    }
    if (type === "subscribe") {
      const send = (data) => socket.send(JSON.stringify({ type: "next", id, payload: { data } }));
      send({ events: { sequence: 1 } });
      send({ events: { sequence: 2 } });
    }
  });
}

async function subscription(page) {
  await newTab(page);
  await write(page, "subscription Live { events { sequence ");
  await page.keyboard.press("Escape"); // completions lie over the button
  await eventually("a token", () => tokenOf(page));
  await runButton(page).click();
  await eventually("the second event", async () => (await model(page, "response.json")).includes('"sequence": 2'));
  assert.equal(opened[0].Authorization, `Bearer ${await tokenOf(page)}`);
  await runButton(page).click(); // stops
  await page.getByRole("button", { name: /^Execute/ }).waitFor();
}

// live listens to an account in this window, and pays from it in another.
async function live(page) {
  await showTab(page, "Live");
  await eventually("the tab", async () => (await model(page, "operation.graphql")).includes("subscription Live"));
  await runButton(page).click();
  await eventually("the snapshot", async () => (await model(page, "response.json")).includes('"snapshot": true'));
  const other = await page.context().newPage();
  await other.goto(origin + "/");
  await other.locator(".graphiql-query-editor .view-lines").waitFor();
  assert.equal((await run(other, "Pay")).data.createPayment.__typename, "CreatePaymentSuccess");
  await eventually("the entry", async () => (await model(page, "response.json")).includes('"direction": "DEBIT"'));
  await other.close();
  await page.bringToFront();
  await runButton(page).click(); // stops
  await page.getByRole("button", { name: /^Execute/ }).waitFor();
}

async function reload(page) {
  await showTab(page, "Pay");
  await eventually("the tab", async () => (await model(page, "operation.graphql")).includes("mutation Pay"));
  const key = await keyOf(page);
  const tabs = await page.locator(".graphiql-tab-button").allTextContents();
  await page.waitForTimeout(1000); // GraphiQL saves half a second after a change
  await page.reload();
  await page.locator(".graphiql-query-editor .view-lines").waitFor();
  await eventually("the tab's variables", () => keyOf(page));
  assert.deepEqual(await page.locator(".graphiql-tab-button").allTextContents(), tabs);
  assert.notEqual(await keyOf(page), key);
  assert.equal((await runShown(page)).data.createPayment.replayed, false);
}

// command tells the stand-in how to behave.
async function command(what) {
  const response = await fetch(`${origin}/standin/${what}`, { method: "POST" });
  assert.equal(response.status, 200);
  return response.json();
}

try {
  await check(context.pages()[0] ?? (await context.newPage()));
} finally {
  await context.close();
  rmSync(profile, { recursive: true, force: true });
}
