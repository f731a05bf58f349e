/** Dialling the addresses of one host so that a dead one keeps nobody waiting (RFC 8305 §5). */
import { type Dialled, type DialRequest, dial } from './connect.ts';

/** The next address is dialled when the one before has not answered for this long, or has failed. */
export const NEXT_ADDRESS_MS = 250;

/** An address that was dialled and not taken. */
export interface Missed<E> {
  readonly endpoint: E;
  /** ms of `performance.now()`. */
  readonly startedAt: number;
  readonly failed: Extract<Dialled, { ok: false }>;
  /** It was given up because another one answered: nothing is known of it. */
  readonly outrun: boolean;
}

export interface Race<E> {
  readonly winner: {
    readonly endpoint: E;
    /** ms of `performance.now()`. */
    readonly startedAt: number;
    readonly dialled: Extract<Dialled, { ok: true }>;
  } | null;
  /** In the order they were dialled. */
  readonly missed: readonly Missed<E>[];
}

type RaceRequest = Omit<DialRequest, 'endpoint'>;

/**
 * Dials the addresses in the order given, each within `timeoutMs` of its own; the first that is connected (with TLS,
 * where that is implicit) is taken and the others are given up. Never rejects.
 */
export function raceAddresses<E extends DialRequest['endpoint']>(
  endpoints: readonly E[],
  request: RaceRequest,
): Promise<Race<E>> {
  const { promise, resolve } = Promise.withResolvers<Race<E>>();
  const cut = new AbortController();
  const signal = AbortSignal.any([request.signal, cut.signal]);
  const runs: { endpoint: E; startedAt: number; failed: Missed<E>['failed'] | null }[] = [];
  let timer: NodeJS.Timeout | undefined;
  let over = false;

  const finish = (winner: Race<E>['winner']) => {
    over = true;
    clearTimeout(timer);
    cut.abort();
    const missed = runs.filter(({ endpoint }) => endpoint !== winner?.endpoint);
    resolve({
      winner,
      missed: missed.map((run) => ({ ...run, failed: run.failed ?? OUTRUN, outrun: run.failed === null })),
    });
  };
  const dialNext = () => {
    const endpoint = endpoints[runs.length];
    if (over || endpoint === undefined) return;
    const run: (typeof runs)[number] = { endpoint, startedAt: performance.now(), failed: null };
    runs.push(run);
    const count = runs.length;
    clearTimeout(timer);
    // A process that was busy hears first what came meanwhile.
    timer = setTimeout(() => setImmediate(() => runs.length === count && dialNext()), NEXT_ADDRESS_MS);
    void dial({ ...request, endpoint, signal }).then((dialled) => {
      if (over) {
        if (dialled.ok) dialled.socket.on('error', () => undefined).destroy();
      } else if (dialled.ok) {
        finish({ endpoint, startedAt: run.startedAt, dialled });
      } else {
        run.failed = dialled;
        if (!request.signal.aborted) dialNext();
        if (runs.every(({ failed }) => failed !== null)) finish(null);
      }
    });
  };
  dialNext();
  if (runs.length === 0) finish(null);
  return promise;
}

const OUTRUN = { ok: false, reason: 'given up: another address answered first', tls: false } as const;
