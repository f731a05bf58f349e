/** A web server for MTA-STS policies (RFC 8461 §3.3) on port 443 of a loopback address, where they have to be. */
import { once } from 'node:events';
import { createServer } from 'node:https';
import type { TestContext } from 'node:test';
import type { ServerCertificate } from './certificates.ts';
import type { CleanUp } from './cmail.ts';

export interface PolicyServerInput {
  readonly address: string;
  readonly certificate: ServerCertificate;
  /** The policy of each domain; it is asked for at `mta-sts.` and the domain. */
  readonly policies: Readonly<Record<string, string>>;
}

/** Serves until the test ends. Rejects where the port cannot be opened. */
export async function servePolicies(
  t: CleanUp,
  { address, certificate: { cert, key }, policies }: PolicyServerInput,
): Promise<void> {
  const server = createServer({ cert, key }, (request, response) => {
    const policy = policies[(request.headers.host ?? '').replace(/^mta-sts\./, '')];
    const found = policy !== undefined && request.url === '/.well-known/mta-sts.txt';
    response.writeHead(found ? 200 : 404, { 'content-type': 'text/plain' });
    response.end(found ? policy : '');
  });
  const listening = once(server, 'listening');
  server.listen(443, address);
  await listening;
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
}

/**
 * Whether port 443 may be opened. Otherwise the test is skipped with the reason; with CMAIL_TEST_REQUIRE=all that is a
 * failure.
 */
export async function requirePolicyServer(t: TestContext): Promise<boolean> {
  const server = createServer();
  try {
    const listening = once(server, 'listening');
    server.listen(443, '127.0.9.9');
    await listening;
    return true;
  } catch (error) {
    // Another test may be asking the same at this moment.
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return true;
    const reason = `port 443 cannot be opened: ${String(error)}`;
    if (process.env.CMAIL_TEST_REQUIRE === 'all') throw new Error(reason);
    t.skip(reason);
    return false;
  } finally {
    server.close();
  }
}
