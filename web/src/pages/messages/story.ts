/** A message's events as a story: a sentence each, with what stands below it. */
import {
  notifyWords,
  ROUTE_WORDS,
  ruleWords,
  STAGE_WORDS,
  wishWords,
} from '../../../../src/mail/story-words.ts';
import type { StoryEvent } from '../../api/messages.ts';
import { bytes, duration } from '../../parts/format.ts';
import type { Tone } from '../../parts/tone.ts';
import { t } from '../../strings.ts';

/** One server that was tried in an attempt. */
export interface Trial {
  readonly where: string;
  readonly stage: string;
  readonly tls: string;
  readonly took: string;
  readonly reply: string;
  readonly note: string;
}

export interface Chapter {
  readonly title: string;
  readonly tone: Tone;
  readonly text: string;
  /** Of attempts: what DNS said. */
  /** Rules for the destination or the sender that made the way. */
  readonly rules: readonly string[];
  readonly mx: string;
  readonly trials: readonly Trial[];
  /** IDs of other messages this one leads to. */
  readonly messages: readonly string[];
}

const words = t.mail.story;

const TONES: Readonly<Record<string, Tone>> = {
  received: 'info',
  decided: 'plain',
  attempt: 'plain',
  fallback: 'warn',
  deferred: 'warn',
  delivered: 'good',
  failed: 'bad',
  notice: 'info',
  held: 'held',
  released: 'info',
  deleted: 'bad',
};

/** The chapter of one event. Kinds this page does not know are shown as they are. */
export function chapterOf(event: StoryEvent): Chapter {
  const { at: _at, kind, recipient, ...detail } = event;
  const whom = recipient ?? words.theMessage;
  const base = {
    title: words.titles[kind] ?? kind,
    tone: TONES[kind] ?? 'plain',
    rules: [],
    mx: '',
    trials: [],
    messages: [],
  } as const;
  switch (kind) {
    case 'received':
      return { ...base, text: receivedText(detail) };
    case 'decided':
      return { ...base, text: decidedText(whom, detail) };
    case 'attempt':
      return { ...base, ...attempt(recipient, detail) };
    case 'fallback':
      return { ...base, text: words.fallback(text(detail.host), text(detail.why)) };
    case 'deferred':
      return { ...base, text: words.deferred(whom, text(detail.reason)) };
    case 'delivered':
      return { ...base, text: deliveredText(whom, detail) };
    case 'failed':
      return {
        ...base,
        text: words.failed(whom, text(detail.status), text(detail.reason), notifyWords(detail.notify)),
      };
    case 'notice':
      return { ...base, text: noticeText(whom, detail), messages: noticeIds(detail) };
    case 'held':
    case 'released':
    case 'deleted':
      return {
        ...base,
        text: words.byWhom(whom, kind, text(detail.by) || words.anAdministrator, text(detail.reason)),
      };
    default:
      return { ...base, text: `${whom} ${JSON.stringify(detail)}` };
  }
}

function receivedText({ sender, sizeBytes, source, ...wishes }: Record<string, unknown>): string {
  // An account that only received it is not told who brought it.
  if (source === undefined)
    return words.receivedFrom(text(sender), typeof sizeBytes === 'number' ? bytes(sizeBytes) : '');
  const { kind, address, helo, user, protocol } = objectOf(source);
  const size = typeof sizeBytes === 'number' ? bytes(sizeBytes) : '';
  if (kind === 'internal') return words.madeHere(size);
  // RFC 3848: the protocol's name tells of TLS and of sign-in.
  const secure = /SMTPS/.test(text(protocol));
  return words.received({
    size,
    sender: text(sender),
    local: kind === 'local',
    address: text(address),
    helo: text(helo),
    protocol: text(protocol),
    user: text(user),
    secure,
    wishes: wishWords(wishes),
  });
}

function decidedText(
  whom: string,
  { rule, original, destination, into, notify }: Record<string, unknown>,
): string {
  const because = ruleWords(text(rule));
  if (Array.isArray(into)) return words.decidedAgain(whom, into.map(text).join(', '), because);
  const from = typeof original === 'string' && original !== whom ? original : '';
  return words.decided(whom, from, text(destination), because, notifyWords(notify));
}

function attempt(recipient: string | null, detail: Record<string, unknown>) {
  const recipients = typeof detail.recipients === 'number' ? detail.recipients : 0;
  const trials = (Array.isArray(detail.hosts) ? detail.hosts : []).map((one) => trial(objectOf(one)));
  return {
    text: words.attempt({
      whom: recipient ?? words.recipients(recipients),
      way: ROUTE_WORDS[text(detail.via)] ?? text(detail.via),
      fallback: text(detail.fallback),
      sender: text(detail.sender),
      took: typeof detail.durationMs === 'number' ? duration(detail.durationMs) : '',
      failure: text(detail.failure),
    }),
    rules: (Array.isArray(detail.rules) ? detail.rules : []).map(text),
    mx: typeof detail.mx === 'string' ? detail.mx || words.noMx : '',
    trials,
  };
}

function trial({
  host,
  port,
  address,
  stage,
  tls,
  reply,
  durationMs,
  possiblyDuplicate,
  policy,
}: Record<string, unknown>): Trial {
  return {
    where: `${text(host)} [${text(address)}]:${text(port)}`,
    stage: STAGE_WORDS[text(stage)] ?? text(stage),
    tls: typeof tls === 'string' ? tls : stage === 'connect' ? '' : words.clear,
    took: typeof durationMs === 'number' ? duration(durationMs) : '',
    reply: text(reply),
    note: [possiblyDuplicate === true ? words.maybeTwice : '', policy === reply ? '' : text(policy)]
      .filter((part) => part !== '')
      .join(' '),
  };
}

function deliveredText(whom: string, { via, host, address, tls, reply }: Record<string, unknown>): string {
  if (via === 'mailbox') return words.deliveredHere(whom);
  return words.delivered(
    whom,
    `${text(host)} [${text(address)}]`,
    typeof tls === 'string' ? tls : words.clear,
    text(reply),
  );
}

function noticeText(whom: string, detail: Record<string, unknown>): string {
  const kind = text(detail.notice) || 'failure';
  const to = Array.isArray(detail.to) ? detail.to.map(text).join(', ') : '';
  return words.notice(kind, whom, to);
}

function noticeIds(detail: Record<string, unknown>): string[] {
  if (Array.isArray(detail.messages)) return detail.messages.map(text);
  return typeof detail.id === 'string' ? [detail.id] : [];
}

function text(value: unknown): string {
  if (value === null || value === undefined) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}
