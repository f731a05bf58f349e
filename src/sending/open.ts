/** From an endpoint to a connection that is ready for messages, with the TLS rules of its kind of route. */

import { replyText } from '../mail/reply.ts';
import type { CurrentSettings } from '../settings/values.ts';
import { type SenderPhase, SenderSession, type SessionProblem } from '../smtp/sender-session.ts';
import type { TlsFailureType, TlsOutcome, TlsPolicy } from '../trust/contract.ts';
import { dial, type Endpoint, isLoopback } from './connect.ts';
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
  /** The connection broke after the final dot: the message may have arrived (RFC 5321 §4.5.4.1). */
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

/**
 * Dials and greets. Where TLS is only welcome and fails, the server is called once more in clear (RFC 7435);
 * each call is a trial.
 */
export async function openConnection(request: OpenRequest): Promise<Opened> {
  const { endpoint } = request;
  const refused = endpoint.policy?.refused ?? null;
  if (refused !== null) {
    observe(request, null, endpoint.policy?.reported?.failure ?? 'validation-failure');
    return keptAway(endpoint, refused);
  }
  const tls = endpoint.policy === null ? endpoint.tls : SESSION_LEVELS[endpoint.policy.level];
  const first = await call(request, tls);
  if (first.ok || first.problem.kind !== 'tls-failed' || tls !== 'opportunistic') return first;
  // The first call is what is reported: this one has no TLS because that one failed.
  const again = await call({ ...request, observe: () => undefined }, 'none');
  return { ...again, trials: [...first.trials.map(withClearNext), ...again.trials] };
}

function withClearNext(trial: Trial): Trial {
  return { ...trial, reply: `${trial.reply}; called once more, in clear` };
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

/** A policy forbids this server: it is not even called. */
function keptAway(endpoint: Endpoint, text: string): Opened {
  const problem: SessionProblem = { kind: 'tls-unavailable', phase: 'ended', reply: null, text };
  return { ok: false, problem, trials: [makeTrial(endpoint, 'connect', null, text, performance.now())] };
}

async function call(request: OpenRequest, tls: Endpoint['tls'] | 'encrypt'): Promise<Opened> {
  const { endpoint, hostname, settings, signal } = request;
  const startedAt = performance.now();
  const failed = (problem: SessionProblem, secured: string | null): Opened => {
    const stage = problem.kind === 'not-greeted' && problem.phase === 'ended' ? 'connect' : problem.phase;
    const reply = problem.reply === null ? problem.text : replyText(problem.reply);
    return { ok: false, problem, trials: [makeTrial(endpoint, stage, secured, reply, startedAt)] };
  };
  const dialled = await dial({ endpoint, timeoutMs: settings().socketTimeoutMs, signal });
  if (!dialled.ok) {
    const kind = dialled.tls ? 'tls-failed' : 'not-greeted';
    return failed({ kind, phase: 'ended', reply: null, text: dialled.reason }, null);
  }
  const session = new SenderSession({
    hostname,
    refuseSelf: endpoint.via !== 'forward',
    tls,
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
