/** Builds the page into dist/web (scripts/build.sh); `vite` serves it while you work on it, with the API of a running server. */
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

export default defineConfig({
  root: import.meta.dirname,
  plugins: [react()],
  // The server puts the nonce of each response in its place (docs/page.md, "Content-Security-Policy").
  html: { cspNonce: '__CSP_NONCE__' },
  build: {
    outDir: '../dist/web.new',
    emptyOutDir: true,
    // Inlined files would be data: addresses, which the policy forbids for scripts and fonts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: 'es2023',
    reportCompressedSize: false,
  },
  server: {
    host: '127.0.0.1',
    proxy: { '/api': process.env.CMAIL_ADMIN_URL ?? 'http://127.0.0.1:8025' },
  },
});
