/** Finding messages, their headers and source; the queue by destination. */
import { z } from 'zod';
import { parseAddress } from '../mail/address.ts';
import { formatMessageId, parseMessageId } from '../mail/message-id.ts';
import { decodeSubject, subjectWords } from '../mail/subject.ts';
import { messageJson } from '../queue/view.ts';
import { holdingRule } from '../settings/destination-rules.ts';
import type { QueuedMessage } from '../storage/contract.ts';
import type { AddressWanted, FoundMessage, FoundPosition, MessageQuery } from '../storage/search-contract.ts';
import { type AdminContext, OperationError } from './context.ts';
import { addressArgument, type OperationTable, operation } from './operation.ts';
import {
  backedOff,
  backedOffOf,
  idArgument,
  selectorOf,
  selectorSchema,
  unknownMessage,
} from './queue-operations.ts';

const MAX_FOUND = 500;
const HEADER_BYTES = 64 * 1024;
/** Bytes of a message one call gives. */
const PART_BYTES = 256 * 1024;

const limit = z.number().int().min(1).max(MAX_FOUND).default(100);
const after = z.string().max(512).optional();
const time = z.number().int().min(0).optional();

export const searchOperations: OperationTable = {
  /** Newest first. Sender and recipient: the start of an address, or @ and a domain. */
  'message.search': operation(
    z.strictObject({
      sender: z.string().max(320).optional(),
      recipient: z.string().max(320).optional(),
      subject: z.string().max(500).optional(),
      id: z.string().max(100).optional(),
      state: z.enum(['waiting', 'held', 'delivered', 'failed', 'deleted']).optional(),
      sinceMs: time,
      untilMs: time,
      after,
      limit,
    }),
    search,
  ),

  /** What the story shows beside the timeline. */
  'message.facts': operation(z.strictObject({ id: z.string().max(100) }), async ({ storage }, { id }) => {
    const number = idArgument(id);
    const [[rawSubject = ''], source] = await Promise.all([
      storage.rawSubjects([number]),
      storage.messageSource(number),
    ]);
    return { subject: decodeSubject(rawSubject), sourceAvailable: source !== null };
  }),

  'message.headers': operation(z.strictObject({ id: z.string().max(100) }), async ({ storage }, { id }) => {
    const reader = await storage.messageSource(idArgument(id));
    if (reader === null) throw await noSource(storage, id);
    const parts: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of reader.chunks()) {
      parts.push(chunk);
      bytes += chunk.byteLength;
      if (bytes >= HEADER_BYTES || Buffer.from(chunk).includes('\r\n\r\n')) break;
    }
    const text = Buffer.concat(parts).subarray(0, HEADER_BYTES);
    const end = text.indexOf('\r\n\r\n');
    const headers = (end < 0 ? text : text.subarray(0, end + 2)).toString('utf8');
    return { headers, fields: fieldsOf(headers) };
  }),

  /** The whole message in parts, base64; `next` is where the next part starts. Reading from the start is audited. */
  'message.source': operation(
    z.strictObject({ id: z.string().max(100), fromByte: z.number().int().min(0).default(0) }),
    async ({ storage }, { id, fromByte }) => {
      const reader = await storage.messageSource(idArgument(id));
      if (reader === null) throw await noSource(storage, id);
      const parts: Uint8Array[] = [];
      let bytes = 0;
      if (fromByte < reader.sizeBytes) {
        for await (const chunk of reader.chunks(fromByte)) {
          parts.push(chunk.subarray(0, PART_BYTES - bytes));
          bytes += parts.at(-1)?.length ?? 0;
          if (bytes >= PART_BYTES) break;
        }
      }
      const end = fromByte + bytes;
      return {
        content: Buffer.concat(parts).toString('base64'),
        sizeBytes: reader.sizeBytes,
        next: bytes > 0 && end < reader.sizeBytes ? end : null,
      };
    },
  ),

  'message.test': operation(
    z.strictObject({ to: z.string().min(1).max(1000), from: z.string().max(1000).default('') }),
    async (context, args) => {
      const to = addressArgument(args.to);
      const from = args.from === '' ? await defaultSender(context) : addressArgument(args.from);
      return { id: formatMessageId(await context.sendTestMessage({ to, from })) };
    },
  ),

  /** Destinations with something waiting, the fullest first. */
  'queue.destinations': operation(z.strictObject({ after, limit }), async (context, args) => {
    const offset = args.after === undefined ? 0 : offsetArgument(args.after);
    const { storage } = context;
    const [found, { holdAll }] = await Promise.all([
      storage.queueDestinations({ offset, limit: args.limit + 1 }),
      storage.counts(),
    ]);
    const states = new Map(context.destinationStates().map((one) => [one.destination, one]));
    const rows = found.slice(0, args.limit).map(({ oldestAt, nextAttemptAt, ...row }) => {
      const state = states.get(row.destination);
      const backOff = state === undefined ? null : backedOffOf(state);
      const next = nextAttemptAt === null ? null : iso(nextAttemptAt);
      const failingSince = state?.failingSince ?? null;
      return {
        ...row,
        oldestAt: oldestAt === null ? null : iso(oldestAt),
        nextAttemptAt: next,
        failingSince,
        backedOffUntil: backOff?.until ?? null,
        backOffReply: backOff?.reply ?? null,
        servers: state?.servers ?? null,
        sessions: state?.sessions ?? 0,
        heldByRule: holdingRule(context.settings.current(), row.destination),
      };
    });
    return { rows, next: found.length > args.limit ? String(offset + args.limit) : null, holdAll };
  }),

  /** Messages with something waiting at a destination, or all of the queue, each with why it waits. */
  'queue.messages': operation(
    z.strictObject({ destination: z.string().max(300).optional(), after, limit }),
    async (context, args) => {
      const { storage } = context;
      const from = args.after === undefined ? 0 : idArgument(args.after);
      const destination = args.destination?.toLowerCase().replace(/\.$/, '');
      const found =
        destination === undefined
          ? await storage.list({ limit: args.limit + 1, after: from })
          : await storage.queueOf({ destination, after: from, limit: args.limit + 1 });
      const rows = await queueRows(context, found.slice(0, args.limit));
      return { rows, next: found.length > args.limit ? (rows.at(-1)?.id ?? null) : null };
    },
  ),

  /** What an action would touch. */
  'queue.count': operation(
    z.strictObject({ selector: selectorSchema, action: z.enum(['retry', 'hold', 'release', 'delete']) }),
    async (context, { selector, action }) =>
      context.storage.countSelected(await selectorOf(context, selector), action),
  ),
};

async function search(
  { storage }: AdminContext,
  args: {
    readonly sender?: string | undefined;
    readonly recipient?: string | undefined;
    readonly subject?: string | undefined;
    readonly id?: string | undefined;
    readonly state?: MessageQuery['state'] | undefined;
    readonly sinceMs?: number | undefined;
    readonly untilMs?: number | undefined;
    readonly after?: string | undefined;
    readonly limit: number;
  },
) {
  if (args.id !== undefined && args.id !== '') return byId(storage, args.id);
  const words = args.subject === undefined ? [] : subjectWords(args.subject);
  const wanted = {
    sender: addressWanted(args.sender),
    recipient: addressWanted(args.recipient),
    state: args.state,
    since: args.sinceMs,
    until: args.untilMs,
    after: args.after === undefined || args.after === '' ? undefined : positionArgument(args.after),
  };
  const given = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined));
  const page = await storage.search({ ...given, words, limit: args.limit });
  const { next } = page;
  return {
    rows: page.rows.map(foundJson),
    next: next === null ? null : `${next.at}.${next.id}`,
    searchedTo: page.endedEarly && next !== null ? iso(next.at) : null,
  };
}

async function byId(storage: AdminContext['storage'], text: string) {
  const id = parseMessageId(text.trim());
  const found = id === undefined ? null : await storage.message(id);
  if (id === undefined || found === null) return { rows: [], next: null, searchedTo: null };
  const [rawSubject = ''] = await storage.rawSubjects([id]);
  const { message } = found;
  const row: FoundMessage = {
    id,
    receivedAt: message.receivedAt,
    sender: message.sender,
    rawSubject,
    sizeBytes: message.sizeBytes,
    state: stateOf(message),
    recipients: message.recipients.slice(0, 10),
    recipientCount: message.recipients.length,
  };
  return { rows: [foundJson(row)], next: null, searchedTo: null };
}

function stateOf({ recipients }: QueuedMessage): FoundMessage['state'] {
  const states = new Set(recipients.map(({ state }) => state));
  if (states.has('queued') || states.has('sending')) return 'waiting';
  if (states.has('held')) return 'held';
  if (states.has('failed')) return 'failed';
  return states.has('delivered') || states.has('expanded') ? 'delivered' : 'deleted';
}

function foundJson({ id, receivedAt, rawSubject, sizeBytes, recipients, ...row }: FoundMessage) {
  return {
    ...row,
    id: formatMessageId(id),
    subject: decodeSubject(rawSubject),
    size: sizeBytes,
    receivedAt: iso(receivedAt),
    recipients: recipients.map(({ address, state }) => ({ address, state })),
  };
}

function addressWanted(text: string | undefined): AddressWanted | undefined {
  const wanted = text?.trim().toLowerCase() ?? '';
  if (wanted === '') return undefined;
  return wanted.startsWith('@') ? { domain: wanted.slice(1) } : { prefix: wanted };
}

function positionArgument(text: string): FoundPosition {
  const match = /^([0-9]{1,15})\.([0-9]{1,15})$/.exec(text);
  if (match === null) throw notANext(text);
  return { at: Number(match[1]), id: Number(match[2]) };
}

function offsetArgument(text: string): number {
  if (!/^[0-9]{1,9}$/.test(text)) throw notANext(text);
  return Number(text);
}

function notANext(text: string): OperationError {
  return new OperationError(
    `${text.slice(0, 100)} is not the next of a page`,
    'Start from the first page again.',
    2,
    { errors: [{ key: 'after', message: 'it is not the `next` of a page', wouldDo: '' }] },
  );
}

/** Each with its subject and why each recipient waits. */
async function queueRows(context: AdminContext, messages: readonly QueuedMessage[]) {
  const { storage, settings, serverRunning } = context;
  const states = context.destinationStates();
  const subjects = await storage.rawSubjects(messages.map(({ id }) => id));
  const waiting = {
    ...{ first: 0, end: 0, now: Date.now(), settings: settings.current(), serverRunning },
    holdingRule: (destination: string) => holdingRule(settings.current(), destination),
    backedOff: (destination: string) => backedOff(states, destination),
  };
  return messages.map((message, index) => {
    const { noticeFor: _, events: _none, ...row } = messageJson(message, [], waiting);
    return { ...row, subject: decodeSubject(subjects[index] ?? '') };
  });
}

async function noSource(storage: AdminContext['storage'], id: string): Promise<OperationError> {
  if ((await storage.message(idArgument(id))) === null) return unknownMessage(id);
  return new OperationError(
    `the content of ${id} is not kept any more`,
    'It goes when the last recipient has it or is given up, or deletes it; the story stays.',
    1,
    { kind: 'not-found' },
  );
}

/** Unfolded (RFC 5322 §2.2.3), encoded words decoded. */
function fieldsOf(headers: string): { name: string; value: string }[] {
  return headers
    .replace(/\r\n[ \t]/g, ' ')
    .split('\r\n')
    .flatMap((line) => {
      const at = line.indexOf(':');
      if (at < 1) return [];
      return [{ name: line.slice(0, at).trim(), value: decodeSubject(line.slice(at + 1).trim()) }];
    });
}

async function defaultSender({ storage, hostname }: AdminContext): Promise<string> {
  const postmaster = await storage.postmaster();
  if (postmaster !== null) return postmaster.address;
  const fallback = parseAddress(`postmaster@${hostname}`);
  return fallback.ok ? fallback.value.text : '';
}

function iso(atMs: number): string {
  return new Date(atMs).toISOString();
}
