/** From an endpoint to a connection that is ready for messages, with the TLS rules of its kind of route. */

import { replyText } from '../mail/reply.ts';
import type { CurrentSettings } from '../settings/values.ts';
import type { SenderPhase, SenderSessionOptions, SessionProblem } from '../smtp/sender-contract.ts';
import { SenderSession } from '../smtp/sender-session.ts';
import type { TlsFailureType, TlsOutcome, TlsPolicy } from '../trust/contract.ts';
import { type Dialled, dial, type Endpoint, isLoopback } from './connect.ts';
import { raceAddresses } from './race.ts';
import { PeerConnection } from './talk.ts';

/** One address tried, as the timeline keeps it. */
export interface Trial {
  readonly host: string;
  readonly port: number;
  readonly address: string;
  /** How far it came. */
  readonly stage: 'connect' | SenderPhase;
  readonly tls: string | null;
  /** Which TLS policy counted and why; absent where it is the usual one. */
  readonly policy?: string;
  /** The last reply, or what went wrong without one. */
  readonly reply: string;
  readonly durationMs: number;
  /** The connection broke after the end of the message: it may have arrived (RFC 5321 §4.5.4.1). */
  readonly possiblyDuplicate?: true;
}

export interface OpenRequest {
  readonly endpoint: Endpoint;
  readonly hostname: string;
  readonly settings: CurrentSettings;
  readonly signal: AbortSignal;
  /** Told how TLS went, for the reports (RFC 8460); absent: it does not count. */
  readonly observe?: (outcome: TlsOutcome) => void;
}

export type Opened =
  | { readonly ok: true; readonly connection: PeerConnection; readonly trials: readonly Trial[] }
  | { readonly ok: false; readonly problem: SessionProblem; readonly trials: readonly Trial[] };

/** What a policy asks of the session. */
const SESSION_LEVELS = {
  none: 'none',
  opportunistic: 'opportunistic',
  encrypt: 'encrypt',
  verify: 'required',
  dane: 'required',
} as const satisfies Record<TlsPolicy['level'], string>;

/** What came of the addresses of one host. */
export interface FirstOpened {
  /** The address that was connected, and how it went on; null when none was. */
  readonly taken: { readonly endpoint: Endpoint; readonly opened: Opened } | null;
  /** Those no connection could be made to. */
  readonly failed: readonly { readonly endpoint: Endpoint; readonly problem: SessionProblem }[];
  /** Of those failed and given up. */
  readonly trials: readonly Trial[];
}

/**
 * Dials and greets. Where TLS is only welcome and fails, the server is called once more in clear (RFC 7435), and
 * where it drops EHLO, once more with HELO; each call is a trial.
 */
export async function openConnection(request: OpenRequest): Promise<Opened> {
  const { endpoint } = request;
  const refused = endpoint.policy?.refused ?? null;
  if (refused !== null) return keptAway(request, refused);
  const startedAt = performance.now();
  return goOn(request, await dialOne(request, levelOf(endpoint)), startedAt);
}

/** The same with all addresses of one host: with the one that is connected first (RFC 8305). */
export async function openFirst(
  endpoints: readonly Endpoint[],
  request: Omit<OpenRequest, 'endpoint'>,
): Promise<FirstOpened> {
  const kept = endpoints.find(({ policy }) => (policy?.refused ?? null) !== null);
  if (kept !== undefined) {
    const opened = keptAway({ ...request, endpoint: kept }, kept.policy?.refused ?? '');
    return { taken: { endpoint: kept, opened }, failed: [], trials: [] };
  }
  const { settings, signal } = request;
  const race = await raceAddresses(endpoints, {
    ...{ timeoutMs: settings().socketTimeoutMs, source: settings(), signal },
  });
  const trials = race.missed.map(({ endpoint, failed, startedAt }) =>
    makeTrial(endpoint, 'connect', null, failed.reason, startedAt),
  );
  const failed = race.missed
    .filter(({ outrun }) => !outrun)
    .map(({ endpoint, failed }) => ({ endpoint, problem: dialProblem(failed) }));
  if (race.winner === null) return { taken: null, failed, trials };
  const { endpoint, dialled, startedAt } = race.winner;
  const opened = await goOn({ ...request, endpoint }, dialled, startedAt);
  return { taken: { endpoint, opened }, failed, trials };
}

/** One session for the reports. What failed before TLS could be asked for says nothing of it. */
function observeSession(
  request: OpenRequest,
  ourAddress: string | null,
  connection: PeerConnection,
  problem: SessionProblem | null,
): void {
  const policy = request.endpoint.policy;
  const { secured } = connection;
  if (secured !== null) {
    // Without a policy, or with DANE records of no use, any certificate will do.
    const strict = policy?.reported?.type === 'sts' || policy?.level === 'dane';
    // A policy that could not be had says nothing of certificates.
    observe(request, ourAddress, policy?.reported?.failure ?? (strict ? secured.failure : null));
  } else if (problem === null || problem.kind === 'tls-unavailable') {
    observe(request, ourAddress, 'starttls-not-supported');
  } else if (problem.kind === 'tls-failed') {
    observe(request, ourAddress, 'validation-failure');
  }
}

function observe(
  { endpoint, observe: tell }: OpenRequest,
  sendingAddress: string | null,
  failure: TlsFailureType | null,
): void {
  const policy = endpoint.policy?.reported;
  if (policy === undefined || tell === undefined) return;
  const { host: mxHost, address: mxAddress } = endpoint;
  tell({ policy, mxHost, mxAddress, sendingAddress, failure });
}

/** A policy forbids this server, at all its addresses: it is not even called. */
function keptAway(request: OpenRequest, text: string): Opened {
  const { endpoint } = request;
  observe(request, null, endpoint.policy?.reported?.failure ?? 'validation-failure');
  const problem: SessionProblem = { kind: 'tls-unavailable', phase: 'ended', reply: null, text };
  return { ok: false, problem, trials: [makeTrial(endpoint, 'connect', null, text, performance.now())] };
}

function levelOf({ policy, tls }: Endpoint): Endpoint['tls'] {
  return policy === null ? tls : SESSION_LEVELS[policy.level];
}

function dialOne({ endpoint, settings, signal }: OpenRequest, tls: Endpoint['tls']): Promise<Dialled> {
  const { socketTimeoutMs: timeoutMs } = settings();
  return dial({ endpoint: { ...endpoint, tls }, timeoutMs, source: settings(), signal });
}

function dialProblem({ tls, own, reason }: Extract<Dialled, { ok: false }>): SessionProblem {
  const kind = own === true ? 'source-address' : tls ? 'tls-failed' : 'not-greeted';
  return { kind, phase: 'ended', reply: null, text: reason };
}

/** What a call does otherwise than its endpoint says. */
type Manner = Pick<SenderSessionOptions, 'tls' | 'heloOnly' | 'tlsFailed'>;

async function goOn(request: OpenRequest, dialled: Dialled, startedAt: number): Promise<Opened> {
  const tls = levelOf(request.endpoint);
  const first = await greet(request, { tls }, dialled, startedAt);
  const startedTls = tls !== 'implicit' && first.trials.at(-1)?.tls !== null;
  const manner = first.ok ? null : otherManner(request.endpoint, first.problem, startedTls);
  if (manner === null) return first;
  const againAt = performance.now();
  // What is reported of TLS is the first call: the one in clear has none because that one failed.
  const { observe: told, ...untold } = request;
  const next = manner.tls === 'none' || told === undefined ? untold : request;
  const again = await greet(next, manner, await dialOne(request, manner.tls), againAt);
  const trials = manner.tls === 'none' ? first.trials.map(withClearNext) : first.trials;
  return { ...again, trials: [...trials, ...again.trials] };
}

function withClearNext(trial: Trial): Trial {
  return { ...trial, reply: `${trial.reply}; called once more, in clear` };
}

/** How a server is called a second time at once; null when it is not. */
function otherManner(endpoint: Endpoint, problem: SessionProblem, startedTls: boolean): Manner | null {
  const { credentials } = endpoint;
  const tls = levelOf(endpoint);
  if (problem.kind === 'tls-failed') return tls === 'opportunistic' ? { tls: 'none', tlsFailed: true } : null;
  // Some old servers drop whoever says EHLO (RFC 5321 §3.2). With HELO alone there is neither STARTTLS nor AUTH.
  const dropped = problem.kind === 'lost' && problem.phase === 'ehlo' && problem.closed === true;
  const needsMore = tls === 'encrypt' || tls === 'required' || credentials !== null;
  return dropped && !needsMore && !startedTls ? { tls, heloOnly: true } : null;
}

async function greet(
  request: OpenRequest,
  manner: Manner,
  dialled: Dialled,
  startedAt: number,
): Promise<Opened> {
  const { endpoint, hostname, settings, signal } = request;
  const failed = (problem: SessionProblem, secured: string | null): Opened => {
    const stage = problem.phase === 'ended' && problem.kind !== 'tls-failed' ? 'connect' : problem.phase;
    const reply = problem.reply === null ? problem.text : replyText(problem.reply);
    return { ok: false, problem, trials: [makeTrial(endpoint, stage, secured, reply, startedAt)] };
  };
  if (!dialled.ok) return failed(dialProblem(dialled), null);
  const session = new SenderSession({
    hostname,
    refuseSelf: endpoint.via !== 'forward',
    ...manner,
    secure: dialled.secure,
    credentials: endpoint.credentials,
    loopback: isLoopback(endpoint.address),
  });
  const connection = new PeerConnection({
    socket: dialled.socket,
    session,
    host: endpoint.host,
    policy: endpoint.policy,
    secure: dialled.secure,
    settings,
  });
  const onStop = () => connection.destroy('The server is stopping');
  signal.addEventListener('abort', onStop);
  const ourAddress = dialled.socket.localAddress ?? null;
  const problem = await connection.open();
  signal.removeEventListener('abort', onStop);
  if (!signal.aborted) observeSession(request, ourAddress, connection, problem);
  return problem === null ? { ok: true, connection, trials: [] } : failed(problem, connection.tls);
}

export function makeTrial(
  endpoint: Endpoint,
  stage: Trial['stage'],
  tls: string | null,
  reply: string,
  startedAt: number,
): Trial {
  const { host, port, address, policy } = endpoint;
  const durationMs = Math.round(performance.now() - startedAt);
  const trial = { host, port, address, stage, tls, reply, durationMs };
  // What is usual is not told with every message.
  const usual = policy === null || (policy.source === 'settings' && policy.refused === null);
  return usual ? trial : { ...trial, policy: policy.text };
}
