/** Trying the servers of a route without sending mail: as far as EHLO, then QUIT. */
import { replyText } from '../mail/reply.ts';
import type { Route } from '../routing/contract.ts';
import type { Settings } from '../settings/values.ts';
import type { SessionProblem } from '../smtp/sender-contract.ts';
import type { TlsPolicies } from '../trust/contract.ts';
import { type Endpoint, endpointsOf, type Secured } from './connect.ts';
import { openConnection, type Trial } from './open.ts';
import { applyPolicies } from './policies.ts';

/** Longest wait for each reply: somebody sits and waits for what a queue may wait minutes for. */
const LONGEST_WAIT_MS = 30_000;

/** What one address of one server did. */
export interface Reached {
  readonly name: string;
  readonly port: number;
  readonly address: string;
  /** A message could be sent now, as far as EHLO tells. */
  readonly ready: boolean;
  /** How far it came; `ready` when all went well. */
  readonly stage: Trial['stage'];
  /** The 220, null when it did not come to EHLO. */
  readonly greeting: string | null;
  readonly tls: Pick<Secured, 'version' | 'verified' | 'problem'> | null;
  /** Why the connection went on in clear although the server offers TLS (RFC 7435). */
  readonly tlsFailure: string | null;
  /** What SIZE says (RFC 1870), 0 for no limit; null when it says nothing. */
  readonly sizeBytes: number | null;
  /** Of the last EHLO, with their parameters. */
  readonly extensions: readonly string[];
  readonly failure: { readonly kind: SessionProblem['kind']; readonly text: string } | null;
  /** All calls together. */
  readonly durationMs: number;
}

export interface ReachOptions {
  /** Our name in EHLO. */
  readonly hostname: string;
  readonly settings: Settings;
  /** The recipient domain. */
  readonly domain?: string;
  readonly policies?: TlsPolicies;
}

/**
 * Calls every address that mail by this route would be tried at, all at once (10 at most), with the TLS rules
 * of the route. No one signs in. Never rejects.
 */
export async function reachServers(route: Route, options: ReachOptions): Promise<readonly Reached[]> {
  const { domain = '', policies } = options;
  const endpoints = await applyPolicies(endpointsOf(route), { route, domain, policies });
  return Promise.all(endpoints.map((endpoint) => reach(endpoint, options)));
}

async function reach(endpoint: Endpoint, { hostname, settings }: ReachOptions): Promise<Reached> {
  const startedAt = performance.now();
  const patience = withShortWaits(settings);
  const opened = await openConnection({
    endpoint: { ...endpoint, credentials: null },
    hostname,
    settings: () => patience,
    signal: new AbortController().signal,
  });
  const { host: name, port, address } = endpoint;
  const durationMs = Math.round(performance.now() - startedAt);
  const base = { name, port, address, durationMs };
  if (!opened.ok) {
    const { kind, reply, text } = opened.problem;
    const why = reply === null ? text : `${text}: ${replyText(reply)}`;
    const stage = opened.trials.at(-1)?.stage ?? 'connect';
    const nothing = { greeting: null, tls: null, tlsFailure: null, sizeBytes: null, extensions: [] };
    return { ...base, ready: false, stage, ...nothing, failure: { kind, text: why } };
  }
  const { connection, trials } = opened;
  const { greeting, extensions } = connection.session;
  const { secured } = connection;
  connection.quit();
  return {
    ...base,
    ready: true,
    stage: 'ready',
    greeting: greeting === null ? null : replyText(greeting),
    tls: secured && { version: secured.version, verified: secured.verified, problem: secured.problem },
    tlsFailure: trials.find((trial) => trial.stage === 'starttls')?.reply ?? null,
    sizeBytes: sizeOf(extensions.get('SIZE')),
    extensions: [...extensions].map(([keyword, parameters]) => `${keyword} ${parameters}`.trim()),
    failure: null,
  };
}

function withShortWaits(settings: Settings): Settings {
  const { greetingMs, ehloMs, tlsMs } = settings.timeouts;
  const timeouts = {
    ...settings.timeouts,
    greetingMs: Math.min(greetingMs, LONGEST_WAIT_MS),
    ehloMs: Math.min(ehloMs, LONGEST_WAIT_MS),
    tlsMs: Math.min(tlsMs, LONGEST_WAIT_MS),
  };
  return { ...settings, timeouts };
}

function sizeOf(parameter: string | undefined): number | null {
  return parameter !== undefined && /^\d{1,15}$/.test(parameter) ? Number(parameter) : null;
}
