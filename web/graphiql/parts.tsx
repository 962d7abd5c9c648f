import { pick, ToolbarButton, useGraphiQL } from "@graphiql/react";
import { useEffect, useSyncExternalStore } from "react";
import type { Demo } from "./settings";
import { hasIdempotencyKey, withNewIdempotencyKey } from "./tabs";
import type { DemoToken } from "./token";

// TopBar is the page's heading: whose API this is, and in the demo with which credential it is used.
export function TopBar({ demo, trouble }: { demo?: Demo; trouble: string }) {
  return (
    <header className="top-bar">
      <h1>
        Paygraph <span>GraphQL payment gateway</span>
      </h1>
      <p role="status">{demo ? <DemoHint demo={demo} trouble={trouble} /> : "To call the API, put a token into Headers."}</p>
    </header>
  );
}

function DemoHint({ demo, trouble }: { demo: Demo; trouble: string }) {
  if (trouble) {
    return (
      <>
        <strong>Demo</strong> The demo’s data could not be read ({trouble}). Reload the page to try again.
      </>
    );
  }
  return (
    <>
      <strong>Demo</strong> Client id <code>{demo.clientId}</code>, secret <code>{demo.clientSecret}</code>. This page fetches its
      token by itself: see Headers.
    </>
  );
}

// KeepToken puts the current token into the headers tab wherever an earlier one of the page's own stands:
// after a renewal, and when a tab is shown that was made before it.
export function KeepToken({ token }: { token: DemoToken }) {
  const { headerEditor, tabs, activeTabIndex } = useGraphiQL(pick("headerEditor", "tabs", "activeTabIndex"));
  const current = useSyncExternalStore(token.subscribe, token.current);
  const tab = tabs[activeTabIndex]?.id;
  useEffect(() => {
    const text = headerEditor?.getValue() ?? "";
    const fresh = token.freshen(text);
    if (fresh !== text) {
      headerEditor!.setValue(fresh);
    }
  }, [headerEditor, tab, current, token]);
  return null;
}

// NewKeyButton replaces the idempotency key in the variables, or in the operation where it stands there.
export function NewKeyButton() {
  const { variableEditor, queryEditor, tabs, activeTabIndex } = useGraphiQL(
    pick("variableEditor", "queryEditor", "tabs", "activeTabIndex"),
  );
  const { variables, query } = tabs[activeTabIndex] ?? {};
  const disabled = !hasIdempotencyKey(variables ?? "") && !hasIdempotencyKey(query ?? "");
  const replace = () => {
    for (const editor of [variableEditor, queryEditor]) {
      const text = editor?.getValue() ?? "";
      if (hasIdempotencyKey(text)) {
        editor!.setValue(withNewIdempotencyKey(text));
        return;
      }
    }
  };
  return (
    <ToolbarButton label="New idempotency key" disabled={disabled} onClick={replace}>
      <KeyIcon />
    </ToolbarButton>
  );
}

function KeyIcon() {
  return (
    <svg className="graphiql-toolbar-icon" viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.5" aria-hidden="true">
      <circle cx="7.5" cy="12" r="4.25" />
      <path d="M11.75 12H22M18.5 12v3.5M21.25 12v2.25" strokeLinecap="round" />
    </svg>
  );
}
