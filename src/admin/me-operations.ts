/** What the owner of an account may ask of the own account, and nothing else: the account is the one signed in. */
import { z } from 'zod';
import { verifyPassword } from '../directory/password.ts';
import { formatMessageId, parseMessageId } from '../mail/message-id.ts';
import { decodeSubject } from '../mail/subject.ts';
import { ownRecipients, ownStory, stateOfShown } from '../queue/own-story.ts';
import type { Account, Alias } from '../storage/contract.ts';
import type { OwnMessage } from '../storage/owner-contract.ts';
import { type AdminContext, OperationError } from './context.ts';
import { accountJson } from './directory-operations.ts';
import { MAIL_SERVICES } from './mail-services.ts';
import { type OperationTable, operation } from './operation.ts';
import { passwordStrength } from './password-strength.ts';

const MAX_MESSAGES = 100;
/** Recipients shown of a message in the list, and in its story. */
const LISTED_RECIPIENTS = 10;
const STORY_RECIPIENTS = 1_000;
const STORY_EVENTS = 2_000;
const MAX_ALIAS_DEPTH = 10;

export const meOperations: OperationTable = {
  'me.show': operation(z.strictObject({}), async (context) => {
    const account = await ownAccount(context);
    const { storage, settings, hostname, mailServices } = context;
    const { address, quotaBytes, usedBytes, forward } = accountJson(account);
    const ports = mailServices();
    return {
      address,
      aliases: aliasesOf(await storage.listAliases(), address),
      quotaBytes,
      usedBytes,
      forward,
      externalForwards: settings.current().externalForwards,
      programs: MAIL_SERVICES.flatMap(({ name, protocol, implicitTls }) => {
        const port = ports[name];
        return port === null ? [] : [{ name, protocol, server: hostname, port, implicitTls }];
      }),
    };
  }),

  /** The present one is asked for, so that an open browser is not enough to take the account over. */
  'me.password': operation(
    z.strictObject({ currentPassword: z.string().max(10_000), password: z.string().max(10_000) }),
    async (context, { currentPassword, password }) => {
      const { storage } = context;
      const { id, address } = await ownAccount(context);
      const before = await storage.passwordHash(id);
      if (before === null || !(await verifyPassword(currentPassword, before))) {
        throw new OperationError('the present password is wrong', 'Enter it again.', 1, {
          errors: [{ key: 'currentPassword', message: 'it is not the present password', wouldDo: '' }],
        });
      }
      const { acceptable, text } = passwordStrength(password, address);
      if (!acceptable) {
        throw new OperationError(
          `the password is not strong enough: ${text}`,
          'Choose a longer one; several words will do.',
          1,
          { errors: [{ key: 'password', message: text, wouldDo: 'several words' }] },
        );
      }
      const hash = await context.hashPassword(password);
      await storage.setPassword(address, hash, context.sessionId ?? undefined);
      return { address };
    },
  ),

  /** Every session at the page, the one that asks too. App passwords stay. */
  'me.endSessions': operation(z.strictObject({}), async (context) => {
    const { id, address } = await ownAccount(context);
    return { address, sessions: await context.storage.removeAccountSessions(id) };
  }),

  'me.messages': operation(
    z.strictObject({
      which: z.enum(['all', 'sent', 'received']).default('all'),
      after: z.string().max(512).optional(),
      limit: z.number().int().min(1).max(MAX_MESSAGES).default(50),
    }),
    async (context, { which, after, limit }) => {
      const { address, createdAt } = await ownAccount(context);
      const found = await context.storage.ownMessages({
        address,
        since: createdAt,
        which,
        after: after === undefined ? null : positionArgument(after),
        limit,
      });
      const last = found.at(-1);
      return {
        // What once went elsewhere for this address is not the account's.
        rows: found.filter(({ sent, received }) => sent || received).map((one) => rowJson(one, address)),
        next: last === undefined || found.length < limit ? null : `${last.receivedAt}.${last.id}`,
      };
    },
  ),

  'me.message': operation(z.strictObject({ id: z.string().max(100) }), async (context, { id }) => {
    const { storage } = context;
    const { address, createdAt } = await ownAccount(context);
    const number = parseMessageId(id);
    const found = number === undefined ? null : await storage.message(number);
    const story = found === null ? null : ownStory(found.message, found.events, address);
    // The same answer for what is not there and what is somebody else's.
    if (number === undefined || found === null || story === null || found.message.receivedAt < createdAt) {
      throw new OperationError(`there is no message ${id} of yours`, 'It may be too old.', 1, {
        kind: 'not-found',
      });
    }
    const [rawSubject = ''] = await storage.rawSubjects([number]);
    return {
      id: formatMessageId(number),
      subject: decodeSubject(rawSubject),
      sender: found.message.sender,
      size: found.message.sizeBytes,
      receivedAt: new Date(found.message.receivedAt).toISOString(),
      sent: story.sent,
      received: story.received,
      recipients: story.recipients.slice(0, STORY_RECIPIENTS),
      events: story.events.slice(0, STORY_EVENTS),
    };
  }),
};

/** The account of the session that calls. */
async function ownAccount({ owner, storage }: AdminContext): Promise<Account> {
  const account = owner === null ? null : await storage.account(owner);
  if (account !== null) return account;
  throw new OperationError('this is for the owner of an account, signed in at the page', undefined, 1, {
    kind: 'not-found',
  });
}

/** Addresses that lead to the account by aliases, in the order of their names. */
function aliasesOf(aliases: readonly Alias[], account: string): string[] {
  const found = new Set<string>();
  let wanted = new Set([account.toLowerCase()]);
  for (let depth = 0; depth < MAX_ALIAS_DEPTH && wanted.size > 0; depth += 1) {
    const leading = aliases.filter(
      ({ address, targets }) => !found.has(address) && targets.some((one) => wanted.has(one.toLowerCase())),
    );
    for (const { address } of leading) found.add(address);
    wanted = new Set(leading.map(({ address }) => address.toLowerCase()));
  }
  return [...found].sort();
}

function rowJson({ id, receivedAt, rawSubject, sizeBytes, ...message }: OwnMessage, account: string) {
  const { sent, received, sender } = message;
  const recipients = ownRecipients(message.recipients, account, sent);
  return {
    id: formatMessageId(id),
    subject: decodeSubject(rawSubject),
    sender,
    size: sizeBytes,
    receivedAt: new Date(receivedAt).toISOString(),
    sent,
    received,
    state: stateOfShown(recipients),
    recipients: recipients.slice(0, LISTED_RECIPIENTS),
    recipientCount: recipients.length,
  };
}

function positionArgument(text: string): { at: number; id: number } {
  const match = /^([0-9]{1,15})\.([0-9]{1,15})$/.exec(text);
  if (match !== null) return { at: Number(match[1]), id: Number(match[2]) };
  throw new OperationError('after is not the next of a page', 'Start from the first page again.', 2, {
    errors: [{ key: 'after', message: 'it is not the `next` of a page', wouldDo: '' }],
  });
}
