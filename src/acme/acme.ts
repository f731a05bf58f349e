/**
 * Keeps a certificate: asks the CA for the first one, renews it in time, waits when told to, and says how it
 * stands. One loop, one attempt at a time; the certificate in use stays until the next one is on disk.
 */
import { createHash } from 'node:crypto';
import { describeError, failed, ok, type Result } from '../mail/failure.ts';
import { accountKey, useAccount } from './account.ts';
import { askRenewalInfo } from './ari.ts';
import {
  type AcmeConfig,
  type AcmeFailure,
  type AcmeLog,
  type AcmeTimings,
  type AcmeView,
  acmeFailure,
  DEFAULT_TIMINGS,
} from './contract.ts';
import { AcmeFiles, type AcmeState } from './files.ts';
import { obtainCertificate } from './order.ts';
import { acmeAlarms, acmeView } from './report.ts';
import { ChallengeResponder } from './responder.ts';
import { type Renewal, renewalOf, waitAfter } from './schedule.ts';
import { AcmeSession } from './session.ts';
import { type IssuedCertificate, keyToPem, readCertificate } from './x509.ts';

/** The clock may be set meanwhile; longer sleeps would not see it. */
const MAX_SLEEP_MS = 3_600_000;

export interface AcmePorts {
  readonly log: AcmeLog;
  /** A new certificate is in place: connections from now on should use it. */
  readonly installed: () => void;
}

export interface AcmeInput {
  readonly config: AcmeConfig;
  /** Its own folder, `<data>/acme`; one process at a time. */
  readonly folder: string;
  readonly ports: AcmePorts;
  readonly timings?: Partial<AcmeTimings>;
  /** 0 up to 1; for tests. */
  readonly random?: () => number;
}

export class Acme {
  readonly #config: AcmeConfig;
  readonly #ports: AcmePorts;
  readonly #timings: AcmeTimings;
  readonly #random: () => number;
  readonly #files: AcmeFiles;
  readonly #responder: ChallengeResponder;
  readonly #stop = new AbortController();
  #state: AcmeState;
  #certificate: IssuedCertificate | null;
  #responderFailure: AcmeFailure | null = null;
  #lastAttemptAtMs = 0;
  #wake: (() => void) | null = null;
  #loop: Promise<void> | null = null;

  private constructor(
    input: AcmeInput,
    files: AcmeFiles,
    state: AcmeState,
    certificate: IssuedCertificate | null,
  ) {
    this.#config = input.config;
    this.#ports = input.ports;
    this.#timings = { ...DEFAULT_TIMINGS, ...input.timings };
    this.#random = input.random ?? Math.random;
    this.#files = files;
    this.#responder = new ChallengeResponder(input.config.challenge, input.config.listen);
    this.#state = state;
    this.#certificate = certificate;
  }

  /** Reads what its folder holds; asks nobody yet. */
  static async open(input: AcmeInput): Promise<Result<Acme, AcmeFailure>> {
    const files = new AcmeFiles(input.folder);
    const state = await files.state();
    if (!state.ok) return state;
    const stored = await files.certificate();
    if (!stored.ok) return stored;
    const read = stored.value === null ? null : readCertificate(stored.value.chain, stored.value.key, []);
    if (read !== null && !read.ok) {
      const file = files.certificateFile;
      input.ports.log('warn', 'the certificate kept cannot be used; another is asked for', {
        file,
        reason: read.failure,
      });
    }
    const plan = fingerprint(input.config);
    // A changed configuration is tried at once; only what the CA asked for goes on.
    const fresh = { ...state.value, plan, nextAttemptAtMs: 0, failures: 0, lastFailure: null };
    return ok(
      new Acme(input, files, state.value.plan === plan ? state.value : fresh, read?.ok ? read.value : null),
    );
  }

  /** Key and chain in use, PEM; null before the first certificate. */
  certificate(): { readonly key: string; readonly cert: string } | null {
    if (this.#certificate === null) return null;
    return { key: keyToPem(this.#certificate.key), cert: this.#certificate.chain };
  }

  /** Opens the place where challenges are answered and begins. A port that cannot be had is an alarm, no end. */
  async start(): Promise<void> {
    await this.#openResponder();
    this.#loop = this.#run();
  }

  /** Tries at once instead of at the next planned time, but for what the CA asked; for the administrator. */
  retryNow(): void {
    if (Date.now() - this.#lastAttemptAtMs < this.#timings.byHandMs) return;
    this.#state = { ...this.#state, nextAttemptAtMs: 0 };
    this.#wake?.();
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#wake?.();
    await this.#loop;
    await this.#responder.close();
  }

  view(): AcmeView {
    const { renewal } = this.#plan();
    return acmeView(this.#config, this.#state, this.#certificate, renewal, this.#responder.addresses);
  }

  alarms(): readonly string[] {
    return acmeAlarms(this.#config, this.#state, this.#certificate, this.#responderFailure, Date.now());
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const { orderAtMs, ariAtMs } = this.#plan();
      const waitMs = Math.min(orderAtMs, ariAtMs) - Date.now();
      if (waitMs > 0) await this.#sleep(Math.min(waitMs, MAX_SLEEP_MS));
      else if (orderAtMs <= ariAtMs) await this.#attempt();
      else await this.#askAri();
    }
  }

  #plan(): { readonly renewal: Renewal; readonly orderAtMs: number; readonly ariAtMs: number } {
    const { nextAttemptAtMs, heldBy, heldUntilMs, nextAriAtMs } = this.#state;
    const held = heldBy === this.#config.directory ? heldUntilMs : 0;
    const renewal = this.#renewal();
    const asksAri = renewal.by !== 'missing' && this.#certificate?.ariId;
    return {
      renewal,
      orderAtMs: Math.max(renewal.atMs, nextAttemptAtMs, held),
      ariAtMs: asksAri ? Math.max(nextAriAtMs, held) : Number.POSITIVE_INFINITY,
    };
  }

  #renewal(): Renewal {
    const { issuedBy, ari } = this.#state;
    const held = this.#certificate;
    const fits =
      held !== null &&
      (issuedBy === null || issuedBy === this.#config.directory) &&
      this.#config.names.every((name) => held.names.includes(name));
    return fits ? renewalOf(held, ari) : { atMs: 0, by: 'missing' };
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#wake?.(), ms).unref();
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = null;
        resolve();
      };
    });
  }

  async #openResponder(): Promise<Result<void, AcmeFailure>> {
    const opened = await this.#responder.open();
    this.#responderFailure = opened.ok ? null : opened.failure;
    if (!opened.ok) this.#ports.log('error', opened.failure.text, { mend: opened.failure.mend });
    return opened;
  }

  async #attempt(): Promise<void> {
    const before = this.#state;
    this.#lastAttemptAtMs = Date.now();
    const failures = before.failures + 1;
    this.#state = { ...before, failures, nextAttemptAtMs: this.#later(failures, null) };
    // On disk before the CA hears of us: a server that dies on the way and starts again waits as after a failure.
    const noted = await this.#files.saveState({
      ...this.#state,
      lastFailure: before.lastFailure ?? cutOff(this.#lastAttemptAtMs),
    });
    const outcome = noted.ok ? await this.#obtain() : noted;
    if (outcome.ok) await this.#succeeded(outcome.value);
    else if (outcome.failure.kind === 'stopped') await this.#remember(before);
    else await this.#failed(outcome.failure);
  }

  #later(failures: number, retryAfterMs: number | null): number {
    return Date.now() + waitAfter(failures, retryAfterMs, this.#timings, this.#random());
  }

  async #obtain(): Promise<Result<IssuedCertificate, AcmeFailure>> {
    this.#ports.log('info', 'asking for a certificate', {
      directory: this.#config.directory,
      names: this.#config.names,
    });
    const opened = await this.#openResponder();
    if (!opened.ok) return opened;
    const issued = await this.#withSession(async (session) => {
      const account = await useAccount(session, this.#config, this.#files);
      if (!account.ok) return account;
      const replaces =
        this.#state.issuedBy === this.#config.directory ? (this.#certificate?.ariId ?? null) : null;
      const { responder, files, config } = {
        responder: this.#responder,
        files: this.#files,
        config: this.#config,
      };
      return obtainCertificate({ session, config, files, responder, replaces });
    });
    if (!issued.ok) return issued;
    const saved = await this.#files.saveCertificate(issued.value.chain, issued.value.key);
    if (!saved.ok) return saved;
    const dropped = await this.#files.dropOrder();
    return dropped.ok ? issued : dropped;
  }

  /** A talk with the CA; whatever is thrown in it is a failure like others. */
  async #withSession<T>(
    talk: (session: AcmeSession) => Promise<Result<T, AcmeFailure>>,
  ): Promise<Result<T, AcmeFailure>> {
    const key = await accountKey(this.#files, this.#config.directory);
    if (!key.ok) return key;
    const session = new AcmeSession({
      config: this.#config,
      timings: this.#timings,
      key: key.value,
      signal: this.#stop.signal,
      random: this.#random,
    });
    try {
      return await talk(session);
    } catch (error) {
      const text = `The attempt broke off: ${describeError(error)}.`;
      return failed(acmeFailure('local', text, 'This is a fault of CMail: please report it with the log.'));
    } finally {
      session.close();
    }
  }

  async #succeeded(certificate: IssuedCertificate): Promise<void> {
    this.#certificate = certificate;
    const { names, notAfterMs } = certificate;
    this.#ports.log('info', 'new certificate', { names, notAfter: new Date(notAfterMs).toISOString() });
    await this.#remember({
      ...this.#state,
      failures: 0,
      lastFailure: null,
      // A CA whose window always lies in the past must not make us order without end.
      nextAttemptAtMs: Date.now() + this.#timings.betweenOrdersMs,
      issuedBy: this.#config.directory,
      ari: null,
      nextAriAtMs: 0,
    });
    this.#ports.installed();
  }

  async #failed({ kind, text, mend, retryAfterMs }: AcmeFailure): Promise<void> {
    const nextAttemptAtMs = this.#later(this.#state.failures, retryAfterMs);
    const held =
      retryAfterMs === null ? {} : { heldBy: this.#config.directory, heldUntilMs: nextAttemptAtMs };
    const lastFailure = { atMs: Date.now(), kind, text, mend };
    const next = new Date(nextAttemptAtMs).toISOString();
    this.#ports.log('warn', 'no certificate', { kind, text, mend, next });
    await this.#remember({ ...this.#state, ...held, nextAttemptAtMs, lastFailure });
  }

  async #askAri(): Promise<void> {
    const id = this.#certificate?.ariId ?? '';
    const asked = await this.#withSession((session) =>
      askRenewalInfo(session, id, this.#state.ari, this.#random),
    );
    if (!asked.ok && asked.failure.kind === 'stopped') return;
    const { ariMinMs, ariMaxMs, ariDefaultMs } = this.#timings;
    const wanted = asked.ok ? asked.value.retryAfterMs : asked.failure.retryAfterMs;
    const nextAriAtMs = Date.now() + Math.min(Math.max(wanted ?? ariDefaultMs, ariMinMs), ariMaxMs);
    let { ari } = this.#state;
    if (asked.ok) ari = asked.value.window;
    else {
      // Out of reach for now: the window known still counts. Anything else: two thirds of the life do.
      if (!['unreachable', 'rate-limited'].includes(asked.failure.kind)) ari = null;
      this.#ports.log('warn', 'no renewal information', { text: asked.failure.text });
    }
    await this.#remember({ ...this.#state, ari, nextAriAtMs });
  }

  /** In force at once; a disk that does not take it is told of, and only a restart would miss it. */
  async #remember(state: AcmeState): Promise<void> {
    this.#state = state;
    const saved = await this.#files.saveState(state);
    if (!saved.ok) this.#ports.log('error', saved.failure.text, { mend: saved.failure.mend });
  }
}

function cutOff(atMs: number): NonNullable<AcmeState['lastFailure']> {
  const text = 'The last attempt was cut off: the server ended in the middle of it.';
  return { atMs, kind: 'stopped', text, mend: 'Nothing to do: the next attempt goes on with it.' };
}

/** Changes whenever something is configured that could make a failed attempt succeed. */
function fingerprint(config: AcmeConfig): string {
  const { externalAccount, ...rest } = config;
  const mac = externalAccount === null ? null : Buffer.from(externalAccount.hmacKey).toString('base64url');
  const text = JSON.stringify([rest, externalAccount?.kid, mac]);
  return createHash('sha256').update(text).digest('hex');
}
