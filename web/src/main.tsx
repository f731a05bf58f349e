/** Starts the page. */
import '@mantine/core/styles.css';
import './app/app.css';
import './parts/parts.css';
import { MantineProvider } from '@mantine/core';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { Problem } from './api/problem.ts';
import { App } from './app/App.tsx';
import { startRouter } from './app/router.ts';
import { theme } from './app/theme.ts';

const RETRIES = 2;

/** The nonce the server gave this response; styles that come later carry it, as the policy wants. */
function styleNonce(): string {
  return document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? '';
}

// Read by the part of Mantine that keeps the page still behind a dialog, which makes a style of its own.
Object.assign(globalThis, { __webpack_nonce__: styleNonce() });

const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 2000,
      // What the server refused stays refused; only a server out of reach is asked again.
      retry: (failures, error) => failures < RETRIES && !(error instanceof Problem && error.status !== 0),
    },
  },
});

const root = document.getElementById('root');
if (root === null) throw new Error('the page has no root');
startRouter();
createRoot(root).render(
  <StrictMode>
    <MantineProvider theme={theme} defaultColorScheme="auto" getStyleNonce={styleNonce}>
      <QueryClientProvider client={client}>
        <App />
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
);
