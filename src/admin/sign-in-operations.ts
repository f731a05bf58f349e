/** App passwords, the history of sign-ins, and who is banned from signing in. */
import { randomInt } from 'node:crypto';
import { z } from 'zod';
import { appPasswordHash } from '../directory/sign-in.ts';
import { SIGN_INS_KEPT } from '../storage/credentials-contract.ts';
import { OperationError } from './context.ts';
import { existingAccount } from './directory-operations.ts';
import { type OperationTable, operation, pageArguments, pageOf, refusing } from './operation.ts';

const text = z.string().min(1).max(1000);
const scopes = z
  .array(z.enum(['send', 'collect']))
  .min(1)
  .max(2);
const MAX_NAME = 100;
/** Base 32 without what looks alike: 24 of them are 120 bits. */
const LETTERS = 'abcdefghijklmnopqrstuvwxyz234567';
const GROUPS = 6;
const GROUP_LETTERS = 4;

export const signInOperations: OperationTable = {
  /** The password is in the answer and nowhere else. */
  'account.appPassword.add': operation(
    z.strictObject({ address: text, name: text, scopes: scopes.default(['send', 'collect']) }),
    async ({ storage }, args) => {
      const { address } = await existingAccount(storage, args.address);
      const name = nameArgument(args.name);
      const password = newAppPassword();
      const given = [...new Set(args.scopes)];
      await refusing(
        storage.addAppPassword({ address, name, hash: appPasswordHash(password), scopes: given }),
        {
          conflict: {
            message: `${address} has an app password ${name} already`,
            mend: 'Choose another name, or revoke that one first.',
          },
          limit: {
            message: `${address} has as many app passwords as an account may have`,
            mend: 'Revoke one that is not used.',
          },
        },
      );
      return { address, name, scopes: given, password };
    },
  ),

  'account.appPassword.list': operation(
    z.strictObject({ ...pageArguments, address: text }),
    async ({ storage }, { address, ...page }) => {
      const { id } = await existingAccount(storage, address);
      const { rows, next } = pageOf(await storage.appPasswords(id), ({ name }) => name, page);
      return {
        rows: rows.map(({ createdAt, lastUsedAt, ...row }) => ({
          ...row,
          createdAt: new Date(createdAt).toISOString(),
          lastUsedAt: lastUsedAt === null ? null : new Date(lastUsedAt).toISOString(),
        })),
        next,
      };
    },
  ),

  'account.appPassword.revoke': operation(
    z.strictObject({ address: text, name: text }),
    async ({ storage }, args) => {
      const { address } = await existingAccount(storage, args.address);
      await refusing(storage.revokeAppPassword(address, args.name), {
        'not-found': {
          message: `${address} has no app password ${args.name}`,
          mend: `See "cmail account app-password list ${address}".`,
        },
      });
      return { address, name: args.name };
    },
  ),

  'account.signIns': operation(
    z.strictObject({
      address: text,
      limit: z.number().int().min(1).max(SIGN_INS_KEPT).default(SIGN_INS_KEPT),
      after: z
        .string()
        .regex(/^\d{1,15}$/, 'it is not the `next` of a page')
        .optional(),
    }),
    async ({ storage }, { address, limit, after }) => {
      const { id } = await existingAccount(storage, address);
      // One more than asked for tells whether there is another page.
      const found = await storage.signIns(id, limit + 1, after === undefined ? undefined : Number(after));
      const page = found.slice(0, limit);
      const rows = page.map(({ at, n: _, ...row }) => ({ at: new Date(at).toISOString(), ...row }));
      return { rows, next: found.length > limit ? String(page.at(-1)?.n ?? '') : null };
    },
  ),

  'access.list': operation(z.strictObject(pageArguments), ({ access }, page) => {
    const bans = (access?.bans() ?? []).map(({ until, ...ban }) => ({
      ...ban,
      until: new Date(until).toISOString(),
    }));
    return pageOf(bans, ({ network }) => network, page);
  }),

  'access.unban': operation(z.strictObject({ network: text }), ({ access }, { network }) => {
    if (access?.unban(network) === true) return { network };
    throw new OperationError(`${network} is not banned`, 'See "cmail access list".');
  }),
};

function newAppPassword(): string {
  const group = (): string =>
    Array.from({ length: GROUP_LETTERS }, () => LETTERS[randomInt(LETTERS.length)]).join('');
  return Array.from({ length: GROUPS }, group).join('-');
}

function nameArgument(name: string): string {
  if (name.length <= MAX_NAME && !/\p{Cc}/u.test(name)) return name;
  throw new OperationError(
    `the name is longer than ${MAX_NAME} characters or holds control characters`,
    'Choose one that says where it is used, such as phone.',
  );
}
