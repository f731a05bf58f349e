/** Shapes: search, story, headers, queue and what is done with it. */
import { z } from 'zod';
import { page, pageQuery, shortText, time } from './common.ts';

export const MESSAGE_STATES = ['waiting', 'held', 'delivered', 'failed', 'deleted'] as const;

export const searchQuery = z.strictObject({
  ...pageQuery,
  sender: z.string().max(320).optional().describe('start of the address, or @ and a domain'),
  recipient: z.string().max(320).optional().describe('start of the address, or @ and a domain'),
  subject: z.string().max(500).optional().describe('whole words, all of which must be there'),
  id: z.string().max(100).optional(),
  state: z.enum(MESSAGE_STATES).optional(),
  since: z.iso.datetime().optional(),
  until: z.iso.datetime().optional(),
});

const recipientState = z.enum(['queued', 'sending', 'held', 'delivered', 'failed', 'deleted', 'expanded']);

export const messageRow = z
  .object({
    id: z.string(),
    sender: z.string().describe('empty: the null sender, a notice'),
    subject: z.string(),
    size: z.number().int().describe('bytes'),
    receivedAt: time,
    state: z.enum(MESSAGE_STATES),
    recipients: z.array(z.object({ address: z.string(), state: recipientState })).describe('the first ten'),
    recipientCount: z.number().int(),
  })
  .meta({ id: 'MessageRow' });

export const messageList = page(messageRow).extend({
  searchedTo: time
    .nullable()
    .describe('a page can end early, with few rows or none, when it had to look at too many: up to here'),
});

export const waitingRecipient = z
  .object({
    address: z.string(),
    original: z.string(),
    state: recipientState,
    destination: z.string().nullable(),
    via: z.string().nullable(),
    attempts: z.number().int(),
    nextAttemptAt: time.nullable(),
    lastReply: z.string().nullable(),
    why: z.string().nullable().describe('why it waits, for what and until when; null when finished'),
  })
  .meta({ id: 'Recipient' });

export const queueRow = z
  .object({
    id: z.string(),
    sender: z.string(),
    subject: z.string(),
    size: z.number().int(),
    receivedAt: time,
    recipients: z.array(waitingRecipient),
  })
  .meta({ id: 'QueueRow' });

export const storyShape = queueRow
  .extend({
    noticeFor: z.string().nullable(),
    sourceAvailable: z.boolean().describe('false once nobody has the message any more'),
    events: z.array(z.looseObject({ at: time, kind: z.string(), recipient: z.string().nullable() })),
    nextEvent: z.number().int().nullable().describe('give it as eventsFrom for the rest'),
  })
  .meta({ id: 'Story' });
export const storyQuery = z.strictObject({ eventsFrom: z.coerce.number().int().min(0).default(0) });

export const headersShape = z.object({
  headers: z.string().describe('the header section as it is, 64 KB at most'),
  fields: z.array(z.object({ name: z.string(), value: z.string() })).describe('unfolded, words decoded'),
});

export const testMessageBody = z.strictObject({
  to: shortText,
  from: z.string().max(1000).default('').describe("default: the server's postmaster"),
});
export const testMessageShape = z.object({ id: z.string() });

export const destinationRow = z
  .object({
    destination: z.string(),
    waiting: z.number().int(),
    sending: z.number().int(),
    held: z.number().int(),
    oldestAt: time.nullable(),
    lastReply: z.string().nullable(),
    nextAttemptAt: time.nullable(),
    failingSince: time.nullable(),
    backedOffUntil: time
      .nullable()
      .describe('none of its servers could be reached, and none is dialled before; then one message tries'),
    backOffReply: z
      .string()
      .nullable()
      .describe('what came of the last attempt to reach its servers, while it is backed off'),
    servers: z
      .string()
      .nullable()
      .describe('hosts and ports its mail goes to, known while it has sessions or fails'),
    sessions: z.number().int(),
    heldByRule: z
      .string()
      .nullable()
      .describe('what the rule of smtp.destinationRules is for that holds all its mail'),
  })
  .meta({ id: 'Destination' });
export const destinationQuery = z.strictObject(pageQuery);
export const destinationList = page(destinationRow).extend({ holdAll: z.boolean() });

export const queueQuery = z.strictObject({
  ...pageQuery,
  destination: z.string().max(300).optional(),
});
export const queueList = page(queueRow);

export const selector = z
  .union([
    z.strictObject({ ids: z.array(z.string().max(100)).min(1).max(1000) }),
    z.strictObject({ destination: z.string().min(1).max(300) }),
    z.strictObject({ all: z.literal(true) }),
  ])
  .meta({ id: 'QueueSelector' });

export const queueActionBody = z.strictObject({
  selector,
  dryRun: z.boolean().default(false).describe('only count what would be touched'),
});
export const queueHoldBody = queueActionBody.extend({
  stay: z.boolean().default(false).describe('for a destination: also what arrives later'),
});
export const queueDeleteBody = queueActionBody.extend({
  notice: z.boolean().default(false).describe('tell the senders'),
});
export const endBackOffBody = z.strictObject({
  selector: z.union([
    z.strictObject({ destination: z.string().min(1).max(300) }),
    z.strictObject({ all: z.literal(true) }),
  ]),
});
export const endBackOffShape = z.object({
  destinations: z.number().int().describe('sets of servers that were backed off'),
});
export const queueCountShape = z
  .object({ recipients: z.number().int(), messages: z.number().int() })
  .meta({ id: 'QueueCount' });
