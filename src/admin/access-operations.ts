/** Administrators, their sessions and tokens, and what they did. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { z } from 'zod';
import { verifyPassword } from '../directory/password.ts';
import type { ApiToken } from '../storage/access-contract.ts';
import { type AdminContext, OperationError } from './context.ts';
import { MAX_ROWS, type OperationTable, operation, pageArguments, pageOf, refusing } from './operation.ts';
import { passwordStrength } from './password-strength.ts';

const DAY_MS = 86_400_000;
const TOKEN_BYTES = 32;
export const TOKEN_PREFIX = 'cmail_';
const NAME = /^[a-z0-9][a-z0-9._@-]{0,99}$/;

const name = z.string().min(1).max(1000);
const password = z.string().max(10_000);
const scope = z.enum(['read', 'write', 'mail-source']);
const SCOPE_WORDS: Readonly<Record<string, string>> = {
  read: 'read',
  write: 'change',
  'mail-source': 'whole messages',
};

/** What is stored of a secret that only its owner has; it is random, so a plain hash will do. */
export function secretHash(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

export const accessOperations: OperationTable = {
  'administrator.add': operation(
    z.strictObject({ name, password, onlyFirst: z.boolean().default(false) }),
    async (context, args) => {
      const who = administratorName(args.name);
      const passwordHash = await hashedPassword(context, args.password, who);
      const added = await refusing(
        context.storage.addAdministrator({ name: who, passwordHash, onlyFirst: args.onlyFirst }),
        {
          conflict: args.onlyFirst
            ? { message: 'there is an administrator already', mend: 'Sign in instead.' }
            : { message: `the administrator ${who} exists already` },
        },
      );
      return administratorJson(added, false);
    },
  ),

  'administrator.list': operation(z.strictObject(pageArguments), async ({ storage }, page) => {
    const { rows, next } = pageOf(await storage.administrators(), (one) => one.name, page);
    const on = new Set(await storage.secondFactorNames('administrator'));
    return { rows: rows.map((one) => administratorJson(one, on.has(one.name))), next };
  }),

  /** One's own needs the present one, so that an open browser is not enough to take the account over. */
  'administrator.password': operation(
    z.strictObject({ name, password, currentPassword: password.optional() }),
    async (context, args) => {
      const { storage } = context;
      const who = administratorName(args.name);
      const before = await storage.administratorHash(who);
      if (before === null) throw noAdministrator(who);
      if (context.sessionId !== null && who === context.author) {
        if (!(await verifyPassword(args.currentPassword ?? '', before))) {
          throw new OperationError('the present password is wrong', 'Enter it again.', 1, {
            errors: [{ key: 'currentPassword', message: 'it is not the present password', wouldDo: '' }],
          });
        }
      }
      const passwordHash = await hashedPassword(context, args.password, who);
      const keepSession = who === context.author ? context.sessionId : null;
      await storage.setAdministratorPassword({ name: who, passwordHash, keepSession });
      return { name: who };
    },
  ),

  'administrator.remove': operation(z.strictObject({ name }), async ({ storage }, args) => {
    const who = administratorName(args.name);
    await refusing(storage.removeAdministrator(who), {
      'not-found': { message: `there is no administrator ${who}`, mend: 'See "cmail admin list".' },
      conflict: { message: `${who} is the last administrator`, mend: 'Add another one first.' },
    });
    return { name: who };
  }),

  'session.list': operation(z.strictObject(pageArguments), async ({ storage, sessionId }, page) => {
    const key = (one: { createdAt: number; id: string }) =>
      `${String(Number.MAX_SAFE_INTEGER - one.createdAt).padStart(16, '0')} ${one.id}`;
    const { rows, next } = pageOf(await storage.sessions(), key, page);
    return {
      rows: rows.map(({ administrator, createdAt, lastSeenAt, expiresAt, ...row }) => ({
        ...row,
        name: administrator,
        createdAt: iso(createdAt),
        lastSeenAt: iso(lastSeenAt),
        expiresAt: iso(expiresAt),
        current: row.id === sessionId,
      })),
      next,
    };
  }),

  'session.end': operation(z.strictObject({ id: z.string().max(100) }), async ({ storage }, { id }) => {
    if (await storage.removeSession(id)) return { id };
    throw new OperationError('there is no such session', 'It may have ended already.', 1, {
      kind: 'not-found',
    });
  }),

  'session.endAll': operation(z.strictObject({ name }), async ({ storage }, args) => ({
    sessions: await storage.removeSessions(administratorName(args.name)),
  })),

  'token.add': operation(
    z.strictObject({
      name: z.string().min(1).max(100),
      scopes: z.array(scope).min(1).max(3),
      days: z.number().int().min(1).max(366),
    }),
    async ({ storage, author }, args) => {
      const token = TOKEN_PREFIX + randomBytes(TOKEN_BYTES).toString('base64url');
      const now = Date.now();
      const row = {
        id: randomUUID(),
        name: args.name,
        scopes: [...new Set(args.scopes)],
        createdBy: author,
        createdAt: now,
        expiresAt: now + args.days * DAY_MS,
      };
      await refusing(storage.addToken({ ...row, tokenHash: secretHash(token) }), {
        limit: { message: 'there are too many tokens', mend: 'Expired ones go by themselves in time.' },
      });
      return { ...tokenJson({ ...row, lastUsedAt: null, revokedAt: null }), token };
    },
  ),

  'token.list': operation(z.strictObject(pageArguments), async ({ storage }, page) => {
    const key = (one: ApiToken) =>
      `${String(Number.MAX_SAFE_INTEGER - one.createdAt).padStart(16, '0')} ${one.id}`;
    const { rows, next } = pageOf(await storage.tokens(), key, page);
    return { rows: rows.map(tokenJson), next };
  }),

  'token.revoke': operation(z.strictObject({ id: z.string().max(100) }), async ({ storage }, { id }) => {
    if (await storage.revokeToken(id)) return { id };
    throw new OperationError('there is no such token', 'It may have been revoked already.', 1, {
      kind: 'not-found',
    });
  }),

  'audit.list': operation(
    z.strictObject({
      limit: z.number().int().min(1).max(MAX_ROWS).default(1000),
      after: z.string().max(20).optional(),
    }),
    async ({ storage }, { limit, after }) => {
      const before = after === undefined ? undefined : Number(after);
      const rows = await storage.audit({ limit, ...(before === undefined ? {} : { before }) });
      return {
        rows: rows.map(({ n, at, ...row }) => ({ id: String(n), at: iso(at), ...row })),
        next: rows.length === limit ? String(rows.at(-1)?.n ?? '') : null,
      };
    },
  ),
};

/** Lower case, or an `OperationError`. */
export function administratorName(text: string): string {
  const canonical = text.trim().toLowerCase();
  if (NAME.test(canonical)) return canonical;
  const message = 'a name has 1 to 100 letters, digits, dots, hyphens, underscores or @';
  throw new OperationError(`${text.slice(0, 100)} cannot be an administrator's name`, `${message}.`, 1, {
    errors: [{ key: 'name', message, wouldDo: 'anna' }],
  });
}

async function hashedPassword(context: AdminContext, plain: string, who: string): Promise<string> {
  const { acceptable, text } = passwordStrength(plain, who);
  if (!acceptable) {
    throw new OperationError(
      `the password is not strong enough: ${text}`,
      'Choose a longer one; several words will do.',
      1,
      { errors: [{ key: 'password', message: text, wouldDo: 'several words' }] },
    );
  }
  return context.hashPassword(plain);
}

function noAdministrator(who: string): OperationError {
  return new OperationError(`there is no administrator ${who}`, 'See "cmail admin list".', 1, {
    kind: 'not-found',
  });
}

function administratorJson(
  one: { name: string; createdAt: number; lastSignInAt: number | null },
  secondFactor: boolean,
) {
  const { createdAt, lastSignInAt } = one;
  return {
    name: one.name,
    createdAt: iso(createdAt),
    lastSignInAt: lastSignInAt === null ? null : iso(lastSignInAt),
    secondFactor,
  };
}

function tokenJson({ createdBy, createdAt, expiresAt, lastUsedAt, revokedAt, ...token }: ApiToken) {
  return {
    ...token,
    scope: token.scopes.map((one) => SCOPE_WORDS[one] ?? one).join(', '),
    by: createdBy,
    createdAt: iso(createdAt),
    lastUsedAt: lastUsedAt === null ? null : iso(lastUsedAt),
    expiresAt: iso(expiresAt),
    state: revokedAt !== null ? 'revoked' : expiresAt <= Date.now() ? 'expired' : 'active',
  };
}

function iso(atMs: number): string {
  return new Date(atMs).toISOString();
}
