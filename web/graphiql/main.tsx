import "./workers";
import { explorerPlugin } from "@graphiql/plugin-explorer";
import { GraphiQL, HISTORY_PLUGIN } from "graphiql";
import { createRoot } from "react-dom/client";
import { findDemoIDs } from "./demo";
import { newFetcher } from "./fetcher";
import { KeepToken, NewKeyButton, TopBar } from "./parts";
import { loadSettings } from "./settings";
import type { Settings } from "./settings";
import { newTabs, prepareStoredTabs } from "./tabs";
import type { DemoIDs } from "./tabs";
import { DemoToken } from "./token";
import "graphiql/style.css";
import "@graphiql/plugin-explorer/style.css";
import "./style.css";

const plugins = [HISTORY_PLUGIN, explorerPlugin({ showAttribution: false })];

// The variables editor takes a scalar for a string or number unless told otherwise.
const scalars = { Metadata: { type: "object", additionalProperties: { type: "string" } } } as const;

// Where the demo's data could not be read, the tabs of an earlier visit wait for a better load.
const forgetful = { getItem: () => null, setItem() {}, removeItem() {}, clear() {}, length: 0 };

const headersHint = `{
  // "Authorization": "Bearer <access token>"
  //
  // A token, for your client id and secret:
  //   curl ${location.origin}/oauth2/token \\
  //     -u ID:SECRET -d grant_type=client_credentials
}`;

start().catch((error: Error) => {
  document.querySelector("#page .wait")!.textContent = `GraphiQL cannot start: ${error.message}`;
});

async function start() {
  const settings = await loadSettings();
  const token = settings.demo && new DemoToken(settings.demo);
  let ids: DemoIDs | undefined;
  let trouble = "";
  if (token) {
    try {
      ids = await findDemoIDs(settings.endpoint, await token.get());
    } catch (error) {
      trouble = (error as Error).message;
    }
  }
  if (!trouble) {
    prepareStoredTabs(ids ? `demo ${ids.source}` : "", ids !== undefined);
  }
  createRoot(document.getElementById("page")!).render(page(settings, token, ids, trouble));
}

function page(settings: Settings, token: DemoToken | undefined, ids: DemoIDs | undefined, trouble: string) {
  const headers = token?.current() ? JSON.stringify({ Authorization: `Bearer ${token.current()}` }, null, 2) : headersHint;
  return (
    <>
      <TopBar demo={settings.demo} trouble={trouble} />
      <GraphiQL
        fetcher={newFetcher(settings.endpoint, token)}
        plugins={plugins}
        defaultTabs={newTabs(ids)}
        defaultHeaders={headers}
        defaultEditorToolsVisibility="headers"
        customScalarSchemas={scalars}
        storage={trouble ? forgetful : undefined}
        shouldPersistHeaders={false} // a token has no place in localStorage
        inputValueDeprecation
        schemaDescription
      >
        <GraphiQL.Logo>
          <></>
        </GraphiQL.Logo>
        <GraphiQL.Toolbar>
          {({ prettify, merge, copy }) => (
            <>
              {prettify}
              {merge}
              {copy}
              <NewKeyButton />
            </>
          )}
        </GraphiQL.Toolbar>
        {token && <KeepToken token={token} />}
      </GraphiQL>
    </>
  );
}
