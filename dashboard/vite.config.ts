/**
 * How the dashboard is built: one entry, hashed assets, and what is needed later (charts, telemetry)
 * in chunks of its own. `vite dev` passes API calls on to a running hub.
 */
import { readFileSync } from 'node:fs'
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

const hub = process.env.EDGELOOP_HUB ?? 'http://127.0.0.1:4180'

const { version } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8')) as {
  version: string
}

export default defineConfig({
  define: { __EDGELOOP_VERSION__: JSON.stringify(version) },
  plugins: [react()],
  build: {
    target: 'es2022',
    // The hub's content security policy allows no inline script and no data: script.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 900,
  },
  server: { proxy: { '/api': { target: hub, ws: true, changeOrigin: true } } },
})
