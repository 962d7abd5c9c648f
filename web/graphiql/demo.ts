import query from "./demo.graphql?raw";
import { noIDs } from "./tabs";
import type { DemoIDs } from "./tabs";

interface Account {
  id: string;
  currency: string;
  status: string;
}

// findDemoIDs answers two ACTIVE wallets in USD that the tabs can pay from and to, and the newest payment whose money
// is set aside. Those expire, so that an older demo may have none.
export async function findDemoIDs(endpoint: string, token: string): Promise<DemoIDs> {
  const response = await fetch(endpoint, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, operationName: "GraphiQLDemo" }),
  });
  const { data, errors } = await response.json();
  if (!data?.accounts || !data.payments) {
    throw new Error(errors?.[0]?.message ?? `accounts: HTTP ${response.status}`);
  }
  const [source, destination] = (data.accounts.nodes as Account[]).filter(
    ({ status, currency }) => status === "ACTIVE" && currency === "USD",
  );
  if (!destination) {
    throw new Error("the demo has no two ACTIVE wallets in USD");
  }
  const [authorized] = data.payments.nodes as { id: string }[];
  return { source: source.id, destination: destination.id, authorized: authorized?.id ?? noIDs.authorized };
}
