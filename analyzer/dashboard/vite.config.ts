// How the page is built: hashed files below assets/, nothing inline, and for development a proxy to a
// running analyzer ($SERIN, http://127.0.0.1:9090 without it).
import { defineConfig } from "vite";

const analyzer = process.env["SERIN"] ?? "http://127.0.0.1:9090";

export default defineConfig({
  base: "/",
  build: {
    target: "es2022",
    assetsDir: "assets",
    assetsInlineLimit: 0,
    modulePreload: false,
    // The size is checked by scripts/build-dashboard, compressed.
    chunkSizeWarningLimit: 2000,
  },
  server: { proxy: { "/v1": { target: analyzer, ws: true, changeOrigin: false } } },
});
