/** Collects how TLS went and tells the domains that want to know, once a day (RFC 8460). */
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Resolver } from '../dns/contract.ts';
import { describeError, type Result } from '../mail/failure.ts';
import type { DueTlsReport, TlsSessionCount, TrustStore } from '../storage/trust-contract.ts';
import type { TlsOutcome } from '../trust/contract.ts';
import { makeTlsReport, type TlsReport } from '../trust/report.ts';
import type { ReportPost } from '../trust/report-post.ts';
import { type ReportTarget, reportTargets } from '../trust/report-record.ts';
import { DAY_MS, TlsTally } from '../trust/report-tally.ts';
import type { Log } from './log.ts';

const EVERY_MS = 60_000;
/** What could not be sent is tried again so much later. */
const RETRY_MS = 3_600_000;
/** After the end of the day reported: the latest due time and a day more (RFC 8460 §5.4). */
const GIVE_UP_MS = 29 * 3_600_000;
const MAX_AT_ONCE = 100;
const BATCH = 500;

const compress = promisify(gzip);

export interface TlsReportsOptions {
  readonly store: Pick<TrustStore, 'addTlsSessions' | 'claimTlsReport' | 'endTlsReport' | 'putOffTlsReport'>;
  readonly resolver: Pick<Resolver, 'txt'>;
  readonly hostname: string;
  /** In force now; `contact` is '' for the server's postmaster. */
  readonly settings: () => { readonly on: boolean; readonly contact: string };
  readonly mail: (
    report: TlsReport,
    gzipped: Buffer,
    letter: { readonly from: string; readonly to: string; readonly now: number },
  ) => Promise<Result<null, string>>;
  readonly post: ReportPost;
  readonly log: Log;
  /** ms since 1970. */
  readonly now?: () => number;
}

export class TlsReports {
  readonly #options: TlsReportsOptions;
  readonly #now: () => number;
  readonly #tally: TlsTally;
  #timer: NodeJS.Timeout | undefined;
  #underWay: Promise<void> | null = null;
  readonly #stop = new AbortController();

  constructor(options: TlsReportsOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#tally = new TlsTally(options.hostname);
  }

  /** Counts one session. Never throws. */
  count(outcome: TlsOutcome): void {
    if (this.#options.settings().on) this.#tally.count(outcome, this.#now());
  }

  start(): void {
    void this.round();
    this.#timer = setInterval(() => void this.round(), EVERY_MS);
    this.#timer.unref();
  }

  /** Stores what was counted and sends what is due. Never rejects; one at a time. */
  round(): Promise<void> {
    this.#underWay ??= this.#round().finally(() => {
      this.#underWay = null;
    });
    return this.#underWay;
  }

  /** Sends no more, and stores what was counted. */
  async close(): Promise<void> {
    this.#stop.abort();
    clearInterval(this.#timer);
    await this.#underWay;
    await this.#round();
  }

  async #round(): Promise<void> {
    try {
      await this.#store(this.#tally.take(this.#now()));
      for (let sent = 0; sent < MAX_AT_ONCE && !this.#stop.signal.aborted; sent += 1) {
        const now = this.#now();
        const due = await this.#options.store.claimTlsReport({ now, until: now + RETRY_MS });
        if (due === null) break;
        await this.#send(due);
      }
    } catch (error) {
      const why = describeError(error);
      this.#options.log('warn', 'TLS reports could not be seen to; the next round tries again', { why });
    }
  }

  async #store(counts: readonly TlsSessionCount[]): Promise<void> {
    for (let from = 0; from < counts.length; from += BATCH) {
      try {
        await this.#options.store.addTlsSessions(counts.slice(from, from + BATCH));
      } catch (error) {
        this.#tally.giveBack(counts.slice(from));
        throw error;
      }
    }
  }

  async #send(due: DueTlsReport): Promise<void> {
    const { store, resolver, hostname, settings, log } = this.#options;
    const { domain, day } = due;
    const { on, contact } = settings();
    const late = this.#now() > (day + 1) * DAY_MS + GIVE_UP_MS;
    if (late) log('warn', 'a TLS report could not be sent within a day and is given up', { domain, day });
    if (late || !on) {
      await store.endTlsReport(due);
      return;
    }
    const record = await resolver.txt(`_smtp._tls.${domain}`);
    if (record.status === 'no-answer') return;
    const targets = record.status === 'ok' ? reportTargets(record.records) : [];
    if (targets.length > 0) {
      const from = contact === '' ? `postmaster@${hostname}` : contact;
      const report = makeTlsReport(due, { hostname, contact: from });
      if (!(await this.#sendToAll(due, report, targets, from))) return;
    }
    await store.endTlsReport(due);
  }

  /** False when it is to be tried again, or somebody else is at it. */
  async #sendToAll(
    due: DueTlsReport,
    report: TlsReport,
    targets: readonly ReportTarget[],
    from: string,
  ): Promise<boolean> {
    const { store, log } = this.#options;
    const gzipped = await compress(report.json);
    const sent = [...due.sent];
    let whole = true;
    for (const target of targets.filter(({ uri }) => !due.sent.includes(uri))) {
      const result = await this.#hand(target, report, gzipped, from);
      const fields = { domain: due.domain, to: target.uri, report: report.reportId };
      if (!result.ok) {
        whole = false;
        log('warn', 'a TLS report could not be sent; it is tried again', { ...fields, why: result.failure });
        continue;
      }
      log('info', 'TLS report sent', fields);
      sent.push(target.uri);
      if (!(await store.putOffTlsReport({ ...due, sent }))) return false;
    }
    return whole;
  }

  #hand(
    target: ReportTarget,
    report: TlsReport,
    gzipped: Buffer,
    from: string,
  ): Promise<Result<null, string>> {
    if (target.kind === 'https') return this.#options.post(target.url, gzipped, this.#stop.signal);
    return this.#options.mail(report, gzipped, { from, to: target.address, now: this.#now() });
  }
}
