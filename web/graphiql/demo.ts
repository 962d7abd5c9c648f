import type { Wallets } from "./tabs";
import query from "./wallets.graphql?raw";

interface Account {
  id: string;
  currency: string;
  status: string;
}

// findWallets answers two ACTIVE wallets in USD that the tabs can pay from and to.
export async function findWallets(endpoint: string, token: string): Promise<Wallets> {
  const response = await fetch(endpoint, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, operationName: "GraphiQLWallets" }),
  });
  const { data, errors } = await response.json();
  if (!data?.accounts) {
    throw new Error(errors?.[0]?.message ?? `accounts: HTTP ${response.status}`);
  }
  const [source, destination] = (data.accounts.nodes as Account[]).filter(
    ({ status, currency }) => status === "ACTIVE" && currency === "USD",
  );
  if (!destination) {
    throw new Error("the demo has no two ACTIVE wallets in USD");
  }
  return { source: source.id, destination: destination.id };
}
