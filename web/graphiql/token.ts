import type { Demo } from "./settings";

const leewayMs = 30_000; // a token is renewed this long before it ends
const minRenewMs = 1_000; // but never more often than this
const retryMs = 5_000; // after a renewal that failed
const maxTimerMs = 2 ** 31 - 1; // browsers fire a longer timer at once

// DemoToken holds the access token that the page fetches for itself in the demo. It renews it
// before it ends, and when asked to after the server has refused it.
export class DemoToken {
  #demo: Demo;
  #current = "";
  #renewAt = 0;
  #issued = new Set<string>();
  #pending?: Promise<string>;
  #timer?: number;
  #listeners = new Set<() => void>();

  constructor(demo: Demo) {
    this.#demo = demo;
  }

  // current is the last token fetched, "" before the first.
  current = () => this.#current;

  // subscribe calls changed after each renewal; its answer ends that.
  subscribe = (changed: () => void) => {
    this.#listeners.add(changed);
    return () => this.#listeners.delete(changed);
  };

  // owns says whether the page fetched this token itself, now or earlier.
  owns(token: string): boolean {
    return this.#issued.has(token);
  }

  // freshen answers text with each token of the page's own replaced by the current one.
  freshen(text: string): string {
    return text.replace(/[\w-]+(?:\.[\w-]+)*/g, (word) => (this.owns(word) ? this.#current : word));
  }

  // get answers a token that has not ended.
  async get(): Promise<string> {
    if (Date.now() < this.#renewAt) {
      return this.#current;
    }
    return this.#renewOnce();
  }

  // refused answers a token other than the one that the server has just refused.
  async refused(token: string): Promise<string> {
    return token === this.#current ? this.#renewOnce() : this.get();
  }

  #renewOnce(): Promise<string> {
    this.#pending ??= this.#renew().finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  async #renew(): Promise<string> {
    clearTimeout(this.#timer);
    try {
      const { access_token: token, expires_in: seconds } = await fetchToken(this.#demo);
      const lifeMs = (seconds ?? 300) * 1000;
      const waitMs = Math.max(lifeMs - leewayMs, lifeMs / 2, minRenewMs);
      this.#current = token;
      this.#issued.add(token);
      this.#renewAt = Date.now() + waitMs;
      this.#renewLater(waitMs);
      this.#listeners.forEach((changed) => changed());
      return token;
    } catch (error) {
      this.#renewLater(retryMs);
      throw error;
    }
  }

  #renewLater(ms: number) {
    this.#timer = setTimeout(() => this.#renewOnce().catch(() => {}), Math.min(ms, maxTimerMs));
  }
}

// fetchToken asks for a token as RFC 6749, sections 2.3.1 and 4.4, says.
async function fetchToken(demo: Demo): Promise<{ access_token: string; expires_in?: number }> {
  const basic = btoa(`${encodeURIComponent(demo.clientId)}:${encodeURIComponent(demo.clientSecret)}`);
  const response = await fetch("/oauth2/token", {
    method: "POST",
    headers: { Authorization: `Basic ${basic}` },
    body: new URLSearchParams({ grant_type: "client_credentials" }),
    credentials: "omit", // or a browser might ask its user for a password
    cache: "no-store",
  });
  if (!response.ok) {
    throw new Error(`/oauth2/token: HTTP ${response.status}`);
  }
  return response.json();
}
