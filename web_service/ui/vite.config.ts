/** Builds the page into dist/: one script, one style sheet, every name with its content's hash. */

import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** The first paint waits for the script: no flash of an empty page or of the other theme. */
function blockRendering(): Plugin {
  return {
    name: "block-rendering",
    transformIndexHtml: {
      order: "post",
      handler: (html) => html.replace('<script type="module"', '<script type="module" blocking="render"'),
    },
  };
}

export default defineConfig({
  base: "/",
  plugins: [blockRendering()],
  build: {
    target: "es2022",
    cssTarget: ["chrome123", "firefox121", "safari17.5"],
    // Data URLs would be refused by the page's Content-Security-Policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  // `npm run dev` beside `./scripts/run` on its own port.
  server: {
    proxy: {
      "/api": "http://127.0.0.1:8000",
      "/websocket": { target: "http://127.0.0.1:8000", ws: true },
    },
  },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
});
