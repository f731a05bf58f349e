/** Shapes: what the owner of an account sees and changes. */
import { z } from 'zod';
import { page, pageQuery, secretText, time } from './common.ts';
import { forwardBody, forwardShape } from './directory.ts';
import { MESSAGE_STATES } from './messages.ts';

export const meShape = z
  .object({
    address: z.string(),
    aliases: z.array(z.string()).describe('addresses that lead to the account'),
    quotaBytes: z.number().int().nullable(),
    usedBytes: z.number().int(),
    forward: forwardShape.nullable(),
    externalForwards: z.boolean().describe('false: forwards to other servers are turned off'),
    programs: z
      .array(
        z.object({
          name: z.string().describe('the service'),
          protocol: z.enum(['smtp', 'pop3']),
          server: z.string(),
          port: z.number().int(),
          implicitTls: z.boolean().describe('TLS from the first byte; else STARTTLS or STLS'),
        }),
      )
      .describe('what to enter in a mail program, the better way first'),
  })
  .meta({ id: 'Me' });

export const mePasswordBody = z.strictObject({ currentPassword: secretText, password: secretText });
export const meForwardBody = z.strictObject({ forward: forwardBody.nullable() });

const scopes = z
  .array(z.enum(['send', 'collect']))
  .min(1)
  .max(2);
export const appPasswordRow = z
  .object({ name: z.string(), scopes, createdAt: time, lastUsedAt: time.nullable() })
  .meta({ id: 'AppPassword' });
export const appPasswordList = page(appPasswordRow);
export const appPasswordBody = z.strictObject({ name: z.string().min(1).max(100), scopes });
export const newAppPasswordShape = z.object({
  name: z.string(),
  scopes,
  password: z.string().describe('shown this once'),
});

const ownRecipient = z.object({
  address: z.string(),
  state: z.enum(MESSAGE_STATES),
  forwarded: z.boolean().describe("the account's own forward leads there"),
  lastReply: z.string().nullable(),
});

export const ownMessageQuery = z.strictObject({
  ...pageQuery,
  limit: z.coerce.number().int().min(1).max(100).default(50),
  which: z.enum(['all', 'sent', 'received']).default('all'),
});
const ownMessage = z.object({
  id: z.string(),
  subject: z.string(),
  sender: z.string().describe('empty: the null sender, a notice'),
  size: z.number().int().describe('bytes'),
  receivedAt: time,
  sent: z.boolean(),
  received: z.boolean(),
  recipients: z.array(ownRecipient),
});
export const ownMessageRow = ownMessage
  .extend({ state: z.enum(MESSAGE_STATES), recipientCount: z.number().int() })
  .meta({ id: 'OwnMessageRow' });
export const ownMessageList = page(ownMessageRow);
export const ownStoryShape = ownMessage
  .extend({
    events: z.array(z.looseObject({ at: time, kind: z.string(), recipient: z.string().nullable() })),
  })
  .meta({ id: 'OwnStory' });
