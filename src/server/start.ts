/** The server: takes the data folder, opens everything in order, says ready, and closes in order. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Acme } from '../acme/acme.ts';
import { ControlServer } from '../admin/control-server.ts';
import { AdminServer } from '../admin/http/server.ts';
import { TrafficCounter } from '../admin/traffic.ts';
import { SignIn } from '../directory/sign-in.ts';
import { SignInThrottle } from '../directory/sign-in-throttle.ts';
import { proxyList } from '../listening/arrival.ts';
import { describeError, ok, type Result } from '../mail/failure.ts';
import type { Authenticate } from '../pop3/connection.ts';
import { Pop3Server } from '../pop3/server.ts';
import { createRedecide } from '../receiving/redecide.ts';
import { SmtpServer } from '../receiving/smtp-server.ts';
import { Submission } from '../receiving/submission.ts';
import { Sender, type SenderOptions } from '../sending/sender.ts';
import { NODE_LEASE_MS } from '../storage/nodes-contract.ts';
import type { TlsOutcome } from '../trust/contract.ts';
import { reportPoster } from '../trust/report-post.ts';
import { issuedFile, openAcme } from './acme-service.ts';
import { createAdminContext, portMend, type Running } from './admin-context.ts';
import { type Endpoint, endpointText, type ListenerName, type NodeConfig, PAGE_FOLDER } from './config.ts';
import { type Core, openCore } from './core.ts';
import { type DataFolder, openDataFolder, removePidFile, writePidFile } from './data-folder.ts';
import { followChanges } from './follow-changes.ts';
import { createLog, type Log } from './log.ts';
import { mailReport } from './tls-report-message.ts';
import { TlsReports } from './tls-reports.ts';
import { TlsService } from './tls-service.ts';
import { programVersion } from './version.ts';

/** A second server on the folder is told at once; a command that is just finishing is waited for. */
const LOCK_WAIT_MS = 2_000;
/** How long open transactions may take at the end. */
const STOP_GRACE_MS = 10_000;
/** A store that answers no more must not keep the server from ending; nothing that was promised is lost by it. */
const STORE_CLOSE_MS = 5_000;
/** Of which calls of the API get less: nobody's mail hangs on them. */
const ADMIN_GRACE_MS = 2_000;
const SWEEP_EVERY_MS = 60_000;
/**
 * Where other nodes share the store: a node that is not heard of for the length of its lease loses what it had claimed,
 * so no claim is held for longer.
 */
const SHARED_STORE: Partial<SenderOptions> = { leaseMs: NODE_LEASE_MS, renewMs: NODE_LEASE_MS / 4 };

interface Parts {
  readonly core: Core;
  readonly smtp: SmtpServer;
  readonly pop3: Pop3Server;
  readonly sender: Sender;
  readonly traffic: TrafficCounter;
  readonly tls: TlsService;
  readonly tlsReports: TlsReports;
  /** Null without [tls.acme]. */
  readonly acme: Acme | null;
  readonly signIn: SignIn;
  readonly submission: Submission;
  control: ControlServer | null;
  admin: AdminServer | null;
}

/** Runs until SIGTERM or SIGINT; resolves to the exit status. What went wrong is on standard error. */
export async function runServer(config: NodeConfig): Promise<number> {
  const folder = openDataFolder(config.data, LOCK_WAIT_MS);
  if (!folder.ok) return refuse(folder.failure.message);
  const log = createLog();
  let parts: Parts | null = null;
  try {
    const core = await openCore(config, folder.value, log);
    const certificates = await openCertificates(config, log);
    if (!certificates.ok) {
      await core.close();
      return refuse(certificates.failure);
    }
    parts = assemble(core, certificates.value, log);
    const running = describeRunning(parts);
    parts.admin = new AdminServer({
      context: createAdminContext(core, running),
      pageFolder: PAGE_FOLDER,
      version: await programVersion(),
      log,
      tls: parts.tls,
    });
    const listeners = await openListeners(parts, config);
    if (typeof listeners === 'string') {
      await closeAll(parts, 0);
      return refuse(listeners);
    }
    const stopped = stopSignal(parts);
    Object.assign(running.listeners, listeners);
    await goLive(parts, folder.value, running, log);
    log('info', 'stopping', { signal: await stopped });
    await closeAll(parts, STOP_GRACE_MS);
    await removePidFile(folder.value);
    return 0;
  } catch (error) {
    if (parts !== null) await closeAll(parts, 0);
    return refuse(`CMail cannot run: ${describeError(error)}`);
  } finally {
    folder.value.release();
  }
}

function refuse(message: string): number {
  process.stderr.write(`cmail: ${message}\n`);
  return 1;
}

/** The certificates in use, and what obtains them; a failure says what to mend. */
async function openCertificates(
  node: NodeConfig,
  log: Log,
): Promise<Result<Pick<Parts, 'tls' | 'acme'>, string>> {
  const { tls: config, data: dataFolder, hostname } = node;
  const tls = await TlsService.open({ config, dataFolder, issued: issuedFile(node), hostname, log });
  if (!tls.ok) return tls;
  const acme = await openAcme(node, log, () => void tls.value.reload());
  return acme.ok ? ok({ tls: tls.value, acme: acme.value }) : acme;
}

function assemble(core: Core, { tls, acme }: Pick<Parts, 'tls' | 'acme'>, log: Log): Parts {
  const { storage, settings, config, decision, trace } = core;
  const current = settings.current;
  const tlsReports = new TlsReports({
    ...{ store: storage, resolver: core.resolver, hostname: config.hostname, log },
    settings: () => current().tlsReports,
    mail: (...report) => mailReport(core, ...report),
    post: reportPoster({ resolver: core.resolver, mayDial: core.mayDial }),
  });
  const outgoing = {
    store: storage,
    settings: current,
    routes: core.router,
    tlsPolicies: core.tlsPolicies,
    observeTls: (outcome: TlsOutcome) => tlsReports.count(outcome),
    redecide: createRedecide(decision, current),
    makeNotices: core.makeNotices,
    hostname: config.hostname,
    log,
  };
  const traffic = new TrafficCounter();
  const sender = new Sender(outgoing, config.store.kind === 'sqlite' ? {} : SHARED_STORE);
  const signIn = new SignIn(
    storage,
    log,
    new SignInThrottle(Date.now, () => current().strangers.signInBanMs),
  );
  const submission = new Submission(decision.directory, current);
  const isProxy = proxyList(config.proxies);
  const receiving = {
    ...{ hostname: config.hostname, settings: current, storage, storeAwayMs: core.storeAwayMs },
    ...{ trace, makeNotices: core.makeNotices, decision, log, tls, signIn, submission },
    refused: () => traffic.count('refused'),
  };
  const smtp = new SmtpServer(receiving, { isProxy });
  storage.onTraffic((what, count) => traffic.count(what, count));
  const pop3 = new Pop3Server({
    mailboxes: storage,
    hostname: config.hostname,
    log,
    authenticate: (request) => collect(signIn, request),
    limits: () => current().strangers.pop3Sessions,
    tls,
    isProxy,
  });
  const parts = { core, smtp, pop3, sender, traffic, tls, tlsReports, acme, signIn, submission };
  return { ...parts, control: null, admin: null };
}

/** Signs in to collect mail. */
async function collect(signIn: SignIn, request: Parameters<Authenticate>[0]): ReturnType<Authenticate> {
  const answer = await signIn.check({ ...request, service: 'pop3', scope: 'collect' });
  if (answer.ok) return { accountId: answer.accountId };
  return { failure: answer.kind === 'refused' ? 'auth' : 'sys', text: answer.text };
}

/** Opens every listener; a message when one cannot be. */
async function openListeners(parts: Parts, config: NodeConfig): Promise<Record<string, string[]> | string> {
  const opened: Record<string, string[]> = {};
  const smtp: { address: string; port: number }[] = [];
  const admin = config.admin === null ? [] : [config.admin];
  for (const [name, endpoints] of Object.entries({ ...config.listen, admin })) {
    if (endpoints.length === 0) continue;
    opened[name] = [];
    for (const endpoint of endpoints) {
      const result = await tryListen(parts, name as ListenerName | 'admin', endpoint);
      if (typeof result === 'string') return result;
      if (name === 'smtp') smtp.push(result);
      opened[name].push(endpointText({ host: result.address, port: result.port }));
    }
  }
  parts.core.self.listeners = smtp;
  return opened;
}

async function tryListen(
  { smtp, pop3, admin }: Parts,
  name: ListenerName | 'admin',
  { host, port }: Endpoint,
): Promise<{ address: string; port: number } | string> {
  try {
    if (name === 'admin' && admin !== null) return await admin.listen(host, port);
    if (name === 'adminTls' && admin !== null) return await admin.listenTls(host, port);
    const implicitTls = name === 'submissions' || name === 'pop3s';
    if (name === 'pop3' || name === 'pop3s') return await pop3.listen(host, port, { implicitTls });
    const service = name === 'smtp' ? 'smtp' : 'submission';
    return await smtp.listen(host, port, { service, implicitTls });
  } catch (error) {
    const why = error as NodeJS.ErrnoException;
    const reason = why.code === 'EADDRINUSE' ? 'the port is in use' : describeError(error);
    return `The ${name} listener ${host}:${port} cannot be opened: ${reason}. ${portMend(host, why)}`;
  }
}

/** The listeners are filled in once they are open. */
function describeRunning(parts: Parts): Running & { listeners: Record<string, string[]> } {
  const { smtp, sender, traffic, tls, acme, signIn, submission } = parts;
  return {
    listeners: {},
    startedAtMs: Date.now(),
    sessions: () => ({ smtp: smtp.sessionList() }),
    destinations: () => sender.destinations(),
    endBackOff: (destination) => sender.endBackOff(destination),
    traffic: (minutes) => traffic.last(minutes),
    alarms: () => [...sender.alarms(), ...tls.alarms(), ...(acme?.alarms() ?? []), ...submission.alarms()],
    acme: () => acme?.view() ?? null,
    strangersOverLimit: () => smtp.strangers.list(),
    access: signIn.throttle,
    certificates: () => tls.state(),
    wakeSender: () => sender.wake(),
  };
}

async function goLive(parts: Parts, folder: DataFolder, running: Running, log: Log): Promise<void> {
  const { core, sender, tls, acme } = parts;
  const { listeners } = running;
  const { hostname: name } = core.config;
  await core.storage.announce({ name, version: await programVersion(), listeners });
  tls.announce();
  followChanges(core.storage, core.settings, log, () => sender.wake());
  parts.control = await ControlServer.open(core.config.data, createAdminContext(core, running));
  await writePidFile(folder);
  core.storage.onQueued(() => sender.wake());
  sender.start();
  await acme?.start();
  parts.tlsReports.start();
  sweepFromTimeToTime(core, log);
  // A way of its own: not the log, and only while nobody can sign in.
  const link = await parts.admin?.setupLink();
  if (link) process.stderr.write(`To set CMail up, open this link in a browser (it works once): ${link}\n`);
  process.stdout.write(`ready ${JSON.stringify(listeners)}\n`);
}

/** Old history goes in slices, beside the mail. */
function sweepFromTimeToTime(core: Core, log: Log): void {
  let sweeping = false;
  const sweep = async (): Promise<void> => {
    if (sweeping) return;
    sweeping = true;
    try {
      await core.storage.sweep(core.settings.current().historyKeepMs);
    } catch (error) {
      const why = describeError(error);
      log('warn', 'old history could not be swept; the next round tries again', { why });
    }
    sweeping = false;
  };
  const timer = setInterval(() => void sweep(), SWEEP_EVERY_MS);
  timer.unref();
}

function stopSignal({ tls, acme }: Parts): Promise<string> {
  return new Promise((resolve) => {
    process.once('SIGTERM', () => resolve('SIGTERM'));
    process.once('SIGINT', () => resolve('SIGINT'));
    process.on('SIGHUP', () => {
      void tls.reload();
      acme?.retryNow();
    });
  });
}

async function closeAll(parts: Parts, graceMs: number): Promise<void> {
  await Promise.all([parts.control?.close(), parts.admin?.close(Math.min(graceMs, ADMIN_GRACE_MS))]);
  await parts.acme?.close();
  parts.tls.close();
  await Promise.all([parts.smtp.close(graceMs), parts.pop3.close(graceMs), parts.sender.stop(graceMs)]);
  const late = new AbortController();
  const limit = sleep(STORE_CLOSE_MS, undefined, { signal: late.signal }).catch(() => undefined);
  const atRest = async (): Promise<void> => {
    await parts.tlsReports.close();
    await parts.core.close();
  };
  await Promise.race([atRest(), limit]);
  late.abort();
}
