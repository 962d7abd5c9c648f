// What the server says about itself; web.go writes it.
export interface Settings {
  endpoint: string;
  demo?: Demo;
}

export interface Demo {
  clientId: string;
  clientSecret: string;
}

export async function loadSettings(): Promise<Settings> {
  const response = await fetch("/graphiql.json", { cache: "no-store" });
  if (!response.ok) {
    throw new Error(`/graphiql.json: HTTP ${response.status}`);
  }
  return response.json();
}
