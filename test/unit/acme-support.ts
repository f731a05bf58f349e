/** An ACME client on a real ACME server, both on loopback, with waits short enough for tests. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Acme, type AcmeInput } from '../../src/acme/acme.ts';
import type { AcmeConfig, AcmeTimings } from '../../src/acme/contract.ts';
import { type AcmeServer, startAcmeServer } from '../support/acme-server.ts';
import { temporaryFolder } from '../support/cmail.ts';
import { freePort } from '../support/free-port.ts';

export const SHORT: AcmeTimings = {
  requestMs: 3_000,
  pollFirstMs: 20,
  pollMaxMs: 100,
  pollTotalMs: 5_000,
  backOffFirstMs: 60_000,
  backOffMaxMs: 600_000,
  retryAfterMaxMs: 3_600_000,
  betweenOrdersMs: 60_000,
  ariMinMs: 100,
  ariMaxMs: 60_000,
  ariDefaultMs: 60_000,
  byHandMs: 0,
};

export interface World {
  readonly server: AcmeServer;
  readonly config: AcmeConfig;
  readonly folder: string;
  /** What was logged, one text a line. */
  readonly log: string[];
  /** How often a certificate was put in place. */
  installed: number;
  /** Opens and starts a client on the folder; it is closed with the test. */
  start(change?: Partial<AcmeConfig>, timings?: Partial<AcmeTimings>, folder?: string): Promise<Acme>;
}

export async function acmeWorld(t: TestContext, timings: Partial<AcmeTimings> = {}): Promise<World> {
  const server = await startAcmeServer(t);
  const port = await freePort('127.0.0.1');
  server.behaviour.httpPort = port;
  server.behaviour.tlsPort = port;
  const folder = join(await temporaryFolder(t), 'acme');
  const config: AcmeConfig = {
    directory: server.directory,
    contact: ['admin@example.test'],
    names: ['mail.example.test', 'mx.example.test'],
    agreeToTerms: false,
    challenge: 'http-01',
    listen: [{ host: '127.0.0.1', port }],
    externalAccount: null,
    trustedCas: await readFile(server.caFile, 'utf8'),
  };
  const world: World = {
    ...{ server, config, folder, log: [], installed: 0 },
    start: async (change = {}, more = {}, at = folder) => {
      const input: AcmeInput = {
        config: { ...config, ...change },
        folder: at,
        timings: { ...SHORT, ...timings, ...more },
        ports: {
          log: (level, message, fields) => world.log.push(`${level} ${message} ${JSON.stringify(fields)}`),
          installed: () => {
            world.installed++;
          },
        },
      };
      const acme = await Acme.open(input);
      assert.ok(acme.ok, acme.ok ? '' : acme.failure.text);
      t.after(() => acme.value.close());
      await acme.value.start();
      return acme.value;
    },
  };
  return world;
}

/** Waits until `probe` gives something. */
export async function until<T>(
  what: string,
  probe: () => T | undefined | null | false,
  limitMs = 15_000,
): Promise<T> {
  const endMs = performance.now() + limitMs;
  for (;;) {
    const found = probe();
    if (found !== undefined && found !== null && found !== false) return found;
    assert.ok(performance.now() < endMs, `waited in vain for ${what}`);
    await sleep(20);
  }
}

/** The failure of the last attempt, once there is one. */
export function failureOf(acme: Acme): Promise<NonNullable<ReturnType<Acme['view']>['failure']>> {
  return until('a failed attempt', () => acme.view().failure);
}
