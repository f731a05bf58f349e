/**
 * The part of `check` that connects: the SMTP host, as far as signing in, and on request the MX hosts of one
 * domain, as far as EHLO. The same code that sends mail dials and talks; MAIL is never said.
 */
import type { CheckFinding } from '../admin/context.ts';
import { error, fine, skipped, warning } from '../admin/finding.ts';
import { replyText } from '../mail/reply.ts';
import type { RouteOptions, Routes } from '../routing/contract.ts';
import { type Endpoint, endpointsOf, isLoopback } from '../sending/connect.ts';
import { type Opened, openConnection } from '../sending/open.ts';
import { missingSources } from '../sending/source-address.ts';
import { smtpHostsOf } from '../settings/smtp-host-table.ts';
import type { CurrentSettings, PhaseTimeouts, Settings, SmtpHost } from '../settings/values.ts';
import type { SessionProblem } from '../smtp/sender-contract.ts';

/** Longest wait for one step with a host, whatever the settings allow. */
const STEP_MS = 6_000;
/** For finding and trying all addresses of the SMTP host; the same for a probed domain, at the same time. */
const WHOLE_MS = 20_000;
/** QUIT is not waited for by anybody, but the process ends after it. */
const QUIT_MS = 1_000;

export interface HostCheckOptions {
  readonly hostname: string;
  readonly settings: CurrentSettings;
  readonly routes: Pick<Routes, 'plan'>;
  readonly stepMs?: number;
  readonly wholeMs?: number;
}

type Judged = readonly CheckFinding[];
type Trouble = typeof error;

interface HostTried {
  readonly findings: Judged;
  /** The address that answered; null when none did. */
  readonly reached: Endpoint | null;
}

/** Tries each SMTP host and, with a domain, the way out. Never rejects. */
export async function checkHosts(options: HostCheckOptions, probe: string | null): Promise<Judged> {
  const entered = smtpHostsOf(options.settings());
  const [hosts, outbound] = await Promise.all([
    Promise.all(entered.map((host) => checkSmtpHost(options, host))),
    probe === null ? null : probeDomain(options, probe),
  ]);
  const [first] = hosts;
  const findings = [...hosts.flatMap((host) => host.findings), ...checkSources(options.settings())];
  if (first === undefined) findings.push(fine('smtp-host', 'no SMTP host is entered'));
  return [...findings, outbound ?? notProbed(options.settings(), first?.reached ?? null)];
}

function checkSources(settings: Settings): Judged {
  return missingSources(settings).map(({ key, address }) =>
    error(
      'outbound',
      `${address} (${key}) is not an address of this machine`,
      'Mail that would be sent from it waits in the queue.',
      `Correct ${key}, or empty it so that the system chooses.`,
    ),
  );
}

/** The settings with every wait cut to what a check may take. */
function hurried({ settings, stepMs = STEP_MS }: HostCheckOptions): Settings {
  const current = settings();
  const cut = Object.entries(current.timeouts).map(([name, ms]) => [name, Math.min(ms, stepMs)]);
  const timeouts = {
    ...(Object.fromEntries(cut) as Record<keyof PhaseTimeouts, number>),
    quitMs: Math.min(current.timeouts.quitMs, QUIT_MS),
  };
  return { ...current, timeouts, socketTimeoutMs: Math.min(current.socketTimeoutMs, stepMs) };
}

function open(options: HostCheckOptions, endpoint: Endpoint, signal: AbortSignal): Promise<Opened> {
  const settings = hurried(options);
  return openConnection({ endpoint, hostname: options.hostname, settings: () => settings, signal });
}

function place({ host, address, port }: Endpoint): string {
  return host === address ? `${address} port ${port}` : `${host} (${address}) port ${port}`;
}

/** What went wrong, in one line. */
function words(problem: SessionProblem, signal: AbortSignal): string {
  if (signal.aborted) return 'the check waited long enough';
  return problem.reply === null ? problem.text : `${problem.text}: ${replyText(problem.reply)}`;
}

// ---------------------------------------------------------------- the SMTP host

async function checkSmtpHost(options: HostCheckOptions, smtpHost: SmtpHost): Promise<HostTried> {
  const { findings, reached } = await trySmtpHost(options, smtpHost);
  if (smtpHost.which === 1) return { findings, reached };
  // What is to be mended of a further host is in settings of its own.
  const own = (text: string) => text.replaceAll('smtp.host.', `smtp.host${smtpHost.which}.`);
  const theirs = findings.map((one) => (one.mend === undefined ? one : { ...one, mend: own(one.mend) }));
  return { findings: theirs, reached };
}

async function trySmtpHost(options: HostCheckOptions, smtpHost: SmtpHost): Promise<HostTried> {
  const current = options.settings();
  const signal = AbortSignal.timeout(options.wholeMs ?? WHOLE_MS);
  // Without MX resolution and rules every domain leads to the SMTP host.
  const settings: Settings = {
    ...{ ...current, useMxResolution: false, destinationRules: [], senderHosts: [] },
    ...{ smtpHost, furtherSmtpHosts: [] },
  };
  const route = await options.routes.plan(...external(options.hostname, settings));
  const needed = !current.useMxResolution || current.fallbackToSmtpHost;
  const trouble = needed ? error : warning;
  if (route.failure !== null) {
    const mend = 'Correct smtp.host.name, or publish an address of the name.';
    const finding = trouble('smtp-host', route.failure.text, meaningFor(needed), mend);
    return { findings: [finding], reached: null };
  }
  const failures: ((severity: Trouble) => CheckFinding)[] = [];
  for (const endpoint of endpointsOf(route)) {
    const startedAt = performance.now();
    const opened = await open(options, endpoint, signal);
    const tookMs = Math.round(performance.now() - startedAt);
    if (opened.ok) {
      const answered = judgeAnswer(endpoint, smtpHost, opened, tookMs);
      opened.connection.quit();
      // Mail takes the address that works.
      return { findings: [...failures.map((failure) => failure(warning)), ...answered], reached: endpoint };
    }
    const text = `the SMTP host ${place(endpoint)}: ${words(opened.problem, signal)}`;
    const mend = mendFor(opened.problem, endpoint);
    failures.push((severity) => severity('smtp-host', text, meaningFor(needed), mend));
    // Signing in again and again with what was refused may lock the account.
    if (signal.aborted || opened.problem.kind === 'credentials') break;
  }
  return { findings: failures.map((failure) => failure(trouble)), reached: null };
}

function external(domain: string, settings: Settings): Parameters<Routes['plan']> {
  const options: RouteOptions = { settings, fresh: true, assumedExternal: false };
  return [{ type: 'external', domain }, options];
}

function meaningFor(needed: boolean): string {
  return needed
    ? 'Mail that is to go by it waits in the queue.'
    : 'Nothing goes by it now: MX resolution is on and fallback is off.';
}

function judgeAnswer(
  endpoint: Endpoint,
  smtpHost: SmtpHost,
  { connection, trials }: Extract<Opened, { ok: true }>,
  tookMs: number,
): Judged {
  const signedIn = endpoint.credentials === null ? '' : ', accepts user name and password';
  const secured = connection.tls === null ? 'without TLS' : `with ${connection.tls}`;
  const text = `the SMTP host ${place(endpoint)} answers in ${tookMs} ms, ${secured}${signedIn}`;
  const findings = [fine('smtp-host', text)];
  const failedTls = trials.find(({ stage }) => stage === 'starttls');
  if (failedTls !== undefined) {
    findings.push(
      warning(
        'smtp-host',
        `TLS with the SMTP host ${place(endpoint)} failed, so it was called again in clear: ${failedTls.reply}`,
        'Mail that goes by it can be read on the way.',
        'Have its TLS mended, then set smtp.host.tls to required.',
      ),
    );
    return findings;
  }
  const privacy = judgePrivacy(
    endpoint,
    smtpHost.tls,
    connection.tls,
    connection.session.extensions.has('STARTTLS'),
  );
  return privacy === null ? findings : [...findings, privacy];
}

/** What there is to say of TLS with a host that answered; to this machine itself nothing needs it. */
export function judgePrivacy(
  endpoint: Endpoint,
  mode: SmtpHost['tls'],
  tls: string | null,
  offered: boolean,
): CheckFinding | null {
  if (isLoopback(endpoint.address)) return null;
  const meaning = 'Mail that goes by it can be read or changed on the way.';
  const where = `the SMTP host ${place(endpoint)}`;
  if (tls === null && offered && mode === 'none') {
    const mend = 'Set smtp.host.tls to required.';
    return warning('smtp-host', `${where} offers TLS, and smtp.host.tls is none`, meaning, mend);
  }
  if (tls === null) {
    const mend = 'Ask its operator for a port with TLS (465 implicit, 587 STARTTLS).';
    return warning('smtp-host', `${where} offers no TLS`, meaning, mend);
  }
  if (/unverified/.test(tls)) {
    const mend =
      'Enter its name as its certificate has it, or have it use a certificate that is trusted here.';
    return warning('smtp-host', `the certificate of ${where} is not trusted for this name`, meaning, mend);
  }
  return null;
}

/** The way out of each kind of trouble with the SMTP host. */
export function mendFor({ kind, reply }: SessionProblem, { tls }: Endpoint): string {
  switch (kind) {
    case 'credentials':
      return reply === null
        ? 'Set smtp.host.tls to required or implicit, use a port on which the host offers TLS and sign-in, and see that its certificate is trusted here for this name.'
        : 'Enter smtp.host.username and smtp.host.password again ("cmail settings set smtp.host.password --stdin").';
    case 'auth-deferred':
      return 'Wait and run the check again; if it stays so, ask the operator of the SMTP host.';
    case 'tls-unavailable':
      return 'Use a port on which the host offers TLS, or set smtp.host.tls to opportunistic.';
    case 'tls-failed':
      return tls === 'implicit'
        ? 'See that smtp.host.port speaks TLS from the start (465); for 25 and 587 smtp.host.tls is required.'
        : 'See that the host speaks TLS 1.2 or newer on this port.';
    case 'self':
      return 'Enter another server than this one as smtp.host.name.';
    case 'not-greeted':
      return 'See that smtp.host.name and smtp.host.port are right, that it runs, and that no firewall is in between.';
    case 'source-address':
      return 'Correct smtp.sourceAddress4 and smtp.sourceAddress6, or empty them so that the system chooses.';
    case 'hello-refused':
    case 'lost':
      return 'Ask the operator of the SMTP host what it has against this server; see its log.';
  }
}

// ---------------------------------------------------------------- the way out

function notProbed({ useMxResolution, outboundPort }: Settings, reached: Endpoint | null): CheckFinding {
  if (!useMxResolution) {
    return fine('outbound', 'MX resolution is off, so no way out but that to the SMTP host is needed');
  }
  const known = reached?.port === outboundPort ? ', but towards the SMTP host it is' : '';
  return skipped(
    'outbound',
    `whether port ${outboundPort} is open outward was not tried${known}`,
    'Many providers close it; then no mail can leave by MX resolution.',
    'Name a domain whose servers may be called: "cmail check --probe example.com". No mail is sent.',
  );
}

interface Tried {
  readonly endpoint: Endpoint;
  readonly opened: Opened;
  /** What went wrong; '' when nothing did. */
  readonly said: string;
}

async function probeDomain(options: HostCheckOptions, domain: string): Promise<CheckFinding> {
  const signal = AbortSignal.timeout(options.wholeMs ?? WHOLE_MS);
  const settings: Settings = { ...options.settings(), useMxResolution: true, fallbackToSmtpHost: false };
  const route = await options.routes.plan(...external(domain, settings));
  if (route.failure !== null) {
    const text = `the way out could not be tried by ${domain}: ${route.failure.text}`;
    const meaning = 'Nothing is known of the way out.';
    return warning('outbound', text, meaning, 'Name another domain with --probe.');
  }
  // At most ten, at once: a closed port is usually silent, and each silence would be waited for.
  const tried = await Promise.all(
    endpointsOf(route).map(async (endpoint): Promise<Tried> => {
      const opened = await open(options, { ...endpoint, tls: 'none', credentials: null }, signal);
      if (!opened.ok)
        return { endpoint, opened, said: `${place(endpoint)}: ${words(opened.problem, signal)}` };
      opened.connection.quit();
      return { endpoint, opened, said: '' };
    }),
  );
  return judgeOutbound(domain, settings.outboundPort, tried);
}

function judgeOutbound(domain: string, port: number, tried: readonly Tried[]): CheckFinding {
  const greeted = tried.find(({ opened }) => opened.ok);
  if (greeted !== undefined) {
    return fine('outbound', `port ${port} is open outward: ${place(greeted.endpoint)} of ${domain} answers`);
  }
  const list = tried.map(({ said }) => said).join('; ');
  if (tried.some(({ opened }) => opened.trials.some(({ stage }) => stage !== 'connect'))) {
    return warning(
      'outbound',
      `port ${port} takes connections, but no host of ${domain} talks to this server: ${list}`,
      'A firewall may answer in their place, or they refuse this server.',
      'Try another domain with --probe; see whether this address is on a block list.',
    );
  }
  return error(
    'outbound',
    `no host of ${domain} can be reached: ${list}`,
    `Port ${port} is closed outward, or all hosts of ${domain} are down: mail that is to leave by MX resolution waits.`,
    'Try another domain; if it is the same, ask your provider to open the port, or send by an SMTP host (smtp.host.name, smtp.useMxResolution off).',
  );
}
