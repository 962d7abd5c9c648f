import type { GraphiQLProps } from "graphiql";
import { Kind, parse } from "graphql";
import type { OperationDefinitionNode } from "graphql";
import { createClient } from "graphql-ws";
import type { DemoToken } from "./token";

type Fetcher = GraphiQLProps["fetcher"];
type Params = Parameters<Fetcher>[0];
type Headers = Record<string, string>;

const accept = "application/graphql-response+json, application/json;q=0.9";

// newFetcher sends queries and mutations as POST, subscriptions over graphql-transport-ws, with the
// headers of the headers tab. In the demo a token that the page fetched is replaced by its successor.
export function newFetcher(endpoint: string, token?: DemoToken): Fetcher {
  return async (params, options) => {
    let headers: Headers = { ...options?.headers };
    if (token) {
      headers = await withCurrentToken(headers, token, params.operationName === "IntrospectionQuery");
    }
    const operation = operationIn(params);
    const sent = { ...params, operationName: operation ? operation.name?.value : params.operationName };
    if (operation?.operation === "subscription") {
      return subscribe(endpoint, sent, headers);
    }
    return post(endpoint, sent, headers, token);
  };
}

// operationIn reads the operation out of the text, since GraphiQL's own idea of it is for a moment that of
// the tab that was shown before.
function operationIn({ query, operationName }: Params): OperationDefinitionNode | undefined {
  try {
    const operations = parse(query, { noLocation: true }).definitions.filter(
      (definition) => definition.kind === Kind.OPERATION_DEFINITION,
    );
    return operations.length === 1 ? operations[0] : operations.find(({ name }) => name?.value === operationName);
  } catch {
    return undefined; // the server says what is wrong with it
  }
}

// withCurrentToken leaves alone what the user has written. GraphiQL reads the schema before it has a
// headers tab; that one request gets the token in any case.
async function withCurrentToken(headers: Headers, token: DemoToken, introspection: boolean): Promise<Headers> {
  const name = authorizationIn(headers);
  if (name && token.owns(bearer(headers[name]))) {
    return { ...headers, [name]: `Bearer ${await token.get()}` };
  }
  if (introspection && Object.keys(headers).length === 0) {
    return token.get().then(
      (current) => ({ Authorization: `Bearer ${current}` }),
      () => headers,
    );
  }
  return headers;
}

async function post(endpoint: string, params: Params, headers: Headers, token?: DemoToken) {
  const send = () =>
    fetch(endpoint, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: accept, ...headers },
      body: JSON.stringify(params),
    });
  let response = await send();
  const name = authorizationIn(headers);
  if (response.status === 401 && token && name && token.owns(bearer(headers[name]))) {
    // A refused token stops a request before anything has happened: asking again is safe.
    headers = { ...headers, [name]: `Bearer ${await token.refused(bearer(headers[name]))}` };
    response = await send();
  }
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    throw trouble(`HTTP ${response.status} ${response.statusText}: ${text.slice(0, 1000)}`);
  }
}

// subscribe opens one connection for one subscription and does not open it again by itself, so that
// what is seen is what was sent.
function subscribe(endpoint: string, params: Params, headers: Headers) {
  const client = createClient({
    url: new URL(endpoint, location.href).href.replace(/^http/, "ws"),
    connectionParams: headers,
    retryAttempts: 0,
  });
  return {
    subscribe(sink: { next(value: any): void; error(error: any): void; complete(): void }) {
      const unsubscribe = client.subscribe(params, {
        next: (value) => sink.next(value),
        error: (error) => sink.error(readable(error)),
        complete: () => sink.complete(),
      });
      return { unsubscribe };
    },
  };
}

function readable(error: unknown): unknown {
  if (error instanceof CloseEvent) {
    return trouble(`The connection was closed: ${error.code} ${error.reason}`);
  }
  return error instanceof Event ? trouble("The connection failed.") : error;
}

// trouble is an error without a stack, which GraphiQL would show.
function trouble(message: string): Error {
  const error = new Error(message);
  delete error.stack;
  return error;
}

function authorizationIn(headers: Headers): string | undefined {
  return Object.keys(headers).find((name) => name.toLowerCase() === "authorization");
}

function bearer(value: unknown): string {
  return String(value).replace(/^Bearer\s+/i, "");
}
