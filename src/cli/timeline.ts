/** A message and its timeline as sentences for an administrator: `queue show ID`, `message ID`. */
import { notifyWords, ROUTE_WORDS, ruleWords, STAGE_WORDS, wishWords } from '../mail/story-words.ts';
import { formatBytes, formatTime, plain } from './output.ts';

export interface EventView {
  readonly [detail: string]: unknown;
  readonly at: string;
  readonly kind: string;
  readonly recipient: string | null;
}

export interface Timeline {
  readonly id: string;
  readonly sender: string;
  readonly size: number;
  readonly receivedAt: string;
  readonly noticeFor: string | null;
  readonly recipients: readonly {
    readonly address: string;
    readonly state: string;
    readonly via: string | null;
    readonly attempts: number;
    readonly lastReply: string | null;
    readonly why: string | null;
  }[];
  readonly events: readonly EventView[];
}

export function timelineText(message: Timeline): string {
  const about = message.noticeFor === null ? '' : `, a notice about message ${message.noticeFor}`;
  const head = `Message ${message.id} from <${message.sender}>, ${formatBytes(message.size)}, received ${formatTime(message.receivedAt)}${about}`;
  const events = message.events.flatMap((event) => {
    const [first = '', ...more] = eventLines(event);
    return [`${formatTime(event.at)}  ${first}`, ...more.map((line) => `    ${line}`)];
  });
  return [head, ...message.recipients.map(recipientLine), '', ...events]
    .map((line) => `${plain(line)}\n`)
    .join('');
}

function recipientLine({ address, state, via, attempts, lastReply, why }: Timeline['recipients'][number]) {
  if (why !== null) return `  ${localTimes(why)}`;
  const how = via === null || via === 'mailbox' ? '' : ` ${ROUTE_WORDS[via] ?? via}`;
  const tried = attempts === 0 ? '' : `, ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}`;
  return `  ${address}: ${state}${how}${tried}${lastReply === null ? '' : `: ${lastReply}`}`;
}

/** Times of ours in a sentence, as people here read them. */
function localTimes(sentence: string): string {
  return sentence.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/g, formatTime);
}

/** One event; the first line is the sentence. What this version does not know is shown as it is. */
function eventLines(event: EventView): readonly string[] {
  const { at: _at, kind, recipient, ...detail } = event;
  const who = recipient ?? 'the message';
  switch (kind) {
    case 'received':
      return [receivedText(detail)];
    case 'decided':
      return [decidedText(who, detail)];
    case 'attempt':
      return attemptLines(recipient, detail);
    case 'fallback':
      return [`went over to the SMTP host${words(' ', detail.host)}${words(': ', detail.why)}`];
    case 'deferred': {
      const next = typeof detail.nextAttemptAt === 'string' ? formatTime(detail.nextAttemptAt) : 'later';
      return [`${who} waits: ${text(detail.reason)}; next attempt ${next}`];
    }
    case 'delivered':
      if (detail.via === 'mailbox') return [`${who} delivered into the mailbox`];
      return [
        `${who} delivered to ${text(detail.host)} [${text(detail.address)}]${tlsText(detail.tls)}: ${text(detail.reply)}${detail.dsnPassedOn === true ? '; it was told what the sender wants to hear' : ''}`,
      ];
    case 'failed':
      return [
        `${who} failed for good, ${text(detail.status)}: ${text(detail.reason)}${words('; nobody is told: ', notifyWords(detail.notify))}`,
      ];
    case 'notice':
      return [noticeText(who, detail)];
    case 'held':
    case 'released':
    case 'deleted':
      return [`${who} ${kind}${actorText(detail)}`];
    case 'retried':
      return [`${who} to be tried at once${actorText(detail)}`];
    default:
      return [`${kind} ${who} ${JSON.stringify(detail)}`];
  }
}

/** Who asked for it, or what made CMail do it. Stores of older versions tell neither. */
function actorText({ by, reason }: Record<string, unknown>): string {
  if (typeof by === 'string') return ` by ${by}${words(': ', reason)}`;
  return typeof reason === 'string' ? `: ${reason}` : ' by an administrator';
}

function receivedText({ sender, sizeBytes, source, ...wishes }: Record<string, unknown>): string {
  const { kind, address, helo, user, protocol } = objectOf(source);
  const size = `${typeof sizeBytes === 'number' ? formatBytes(sizeBytes) : ''} from <${text(sender)}>`;
  if (kind === 'internal') return `made by CMail itself, ${size}`;
  const client = kind === 'local' ? 'local client' : 'external source';
  const signedIn = typeof user === 'string' ? `signed in as ${user}` : 'not signed in';
  // RFC 3848: the protocol's name tells of TLS and of sign-in.
  const secure = /SMTPS/.test(text(protocol)) ? 'with TLS' : 'without TLS';
  return `received ${size}, from the ${client} [${text(address)}], which calls itself ${text(helo)}, by ${text(protocol)}, ${signedIn}, ${secure}${words('; ', wishWords(wishes))}`;
}

function decidedText(
  who: string,
  { rule, original, destination, into, notify }: Record<string, unknown>,
): string {
  const because = `${ruleWords(text(rule))} (rule ${text(rule)})`;
  if (Array.isArray(into)) return `${who} decided again: now goes to ${into.join(', ')}: ${because}`;
  const from = typeof original === 'string' && original !== who ? ` for ${original}` : '';
  const where = typeof destination === 'string' ? `waits to be sent to ${destination}` : 'stays here';
  return `${who}${from} accepted, ${where}: ${because}${words('; ', notifyWords(notify))}`;
}

function attemptLines(recipient: string | null, detail: Record<string, unknown>): readonly string[] {
  const count = typeof detail.recipients === 'number' ? detail.recipients : 0;
  const whom = recipient ?? `${count} recipients`;
  const route = ROUTE_WORDS[text(detail.via)] ?? `by ${text(detail.via)}`;
  const lines = [
    `attempt for ${whom} ${route}${words(', because MX failed: ', detail.fallback)}${words(', with the sender ', detail.sender)}, took ${duration(detail.durationMs)}`,
  ];
  for (const rule of Array.isArray(detail.rules) ? detail.rules : []) lines.push(text(rule));
  if (typeof detail.mx === 'string') lines.push(`MX: ${detail.mx === '' ? 'none' : detail.mx}`);
  for (const host of Array.isArray(detail.hosts) ? detail.hosts : [])
    lines.push(...trialLines(objectOf(host)));
  if (typeof detail.failure === 'string') lines.push(`came to ${detail.failure}`);
  return lines;
}

/** A server refused by a policy brings the policy's own sentence as its reply. */
function trialLines(trial: Record<string, unknown>): readonly string[] {
  const told = typeof trial.policy === 'string' && trial.policy !== trial.reply;
  return [...(told ? [`TLS policy: ${trial.policy}`] : []), trialText(trial)];
}

function trialText(trial: Record<string, unknown>): string {
  const { host, port, address, stage, tls, reply, durationMs, possiblyDuplicate } = trial;
  const where = `${text(host)} [${text(address)}] port ${text(port)}`;
  const twice = possiblyDuplicate === true ? '; the message may have arrived all the same' : '';
  return `${where}${stage === 'connect' ? '' : tlsText(tls)}, ${STAGE_WORDS[text(stage)] ?? text(stage)}, ${duration(durationMs)}: ${text(reply)}${twice}`;
}

function noticeText(who: string, detail: Record<string, unknown>): string {
  const kind = text(detail.notice ?? 'failure');
  if (Array.isArray(detail.messages))
    return `${kind} notice about ${who} sent as ${detail.messages.join(', ')}`;
  const to = Array.isArray(detail.to) ? detail.to.join(', ') : '-';
  return `${kind} notice sent to ${to} as message ${text(detail.id)}`;
}

function tlsText(tls: unknown): string {
  return typeof tls === 'string' ? `, ${tls}` : ', without TLS';
}

function duration(ms: unknown): string {
  if (typeof ms !== 'number') return '-';
  return ms < 1000 ? `${ms} ms` : `${(ms / 1000).toFixed(1)} s`;
}

function words(before: string, value: unknown): string {
  return typeof value === 'string' && value !== '' ? `${before}${value}` : '';
}

function text(value: unknown): string {
  if (value === null || value === undefined) return '-';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}
