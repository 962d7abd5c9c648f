import type { GraphiQLProps } from "graphiql";

type Tabs = NonNullable<GraphiQLProps["defaultTabs"]>;

// DemoIDs are the wallets that the tabs pay from and to, and a payment whose money is set aside.
export interface DemoIDs {
  source: string;
  destination: string;
  authorized: string;
}

// noIDs stand where the visitor's own belong.
export const noIDs: DemoIDs = { source: "acc_…", destination: "acc_…", authorized: "pay_…" };

const operations = import.meta.glob<string>("./operations/*.graphql", {
  query: "?raw",
  import: "default",
  eager: true,
});
const variables = import.meta.glob<string>("./operations/*.json", {
  query: "?raw",
  import: "default",
  eager: true,
});

// newTabs makes the tabs of a first visit from operations/, in the order of the files' names.
export function newTabs(ids: DemoIDs = noIDs): Tabs {
  const values: Record<string, string> = {
    ...ids,
    payKey: newIdempotencyKey(),
    authorizeKey: newIdempotencyKey(),
    captureKey: newIdempotencyKey(),
    transferKey: newIdempotencyKey(),
  };
  return Object.keys(operations)
    .sort()
    .map((path) => ({
      query: operations[path].trimEnd(),
      variables: variables[path.replace(/graphql$/, "json")]
        ?.trimEnd()
        .replace(/\$\{(\w+)\}/g, (_, name: string) => values[name]),
    }));
}

const keyOfThisPage = /graphiql-[0-9a-f]{32}/g;
const keyMember = /("?\bidempotencyKey\b"?\s*:\s*")([^"]*)(?=")/g;

export function newIdempotencyKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return "graphiql-" + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function hasIdempotencyKey(text: string): boolean {
  return text.search(keyMember) >= 0;
}

// withNewIdempotencyKey replaces the value of idempotencyKey in variables or in an operation.
export function withNewIdempotencyKey(text: string): string {
  return text.replace(keyMember, `$1${newIdempotencyKey()}`);
}

// GraphiQL keeps tabs in localStorage under these names.
const storedTabs = ["graphiql:tabState", "graphiql:query", "graphiql:variables"];
const storedFor = "paygraph:tabsFor";

// prepareStoredTabs forgets the tabs of an earlier visit when they name accounts of other data (after
// `--fresh`, say). The demo's keys are made new at each load. Elsewhere a stored key stays: whoever
// reloads the page because an answer was lost wants the same request again, not a second payment.
export function prepareStoredTabs(data: string, freshKeys: boolean) {
  if (localStorage.getItem(storedFor) !== data) {
    storedTabs.forEach((name) => localStorage.removeItem(name));
    localStorage.setItem(storedFor, data);
    return;
  }
  if (!freshKeys) {
    return;
  }
  const fresh = new Map<string, string>();
  for (const name of storedTabs) {
    const stored = localStorage.getItem(name);
    if (stored) {
      localStorage.setItem(name, stored.replace(keyOfThisPage, (key) => freshFor(fresh, key)));
    }
  }
}

function freshFor(fresh: Map<string, string>, key: string): string {
  if (!fresh.has(key)) {
    fresh.set(key, newIdempotencyKey());
  }
  return fresh.get(key)!;
}
