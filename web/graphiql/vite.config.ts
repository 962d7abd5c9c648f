import { defineConfig } from "vite";

// The page is served at "/", its assets below "/graphiql/assets/" (see web.go).
export default defineConfig({
  base: "/graphiql/",
  build: {
    outDir: "../dist/graphiql",
    emptyOutDir: true,
    target: "es2022",
    sourcemap: false,
    // Files, not data: addresses, so that the browser caches them and the policy stays narrow.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // What is bundled keeps its licences: they are a file beside the page.
    license: { fileName: "licenses.md" },
    chunkSizeWarningLimit: 4096,
    rolldownOptions: {
      checks: { moduleLevelDirective: false }, // "use client" means nothing here
    },
  },
});
