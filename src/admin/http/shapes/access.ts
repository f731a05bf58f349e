/** Shapes: setup, session, administrators, tokens, audit. */
import { z } from 'zod';
import { page, secretText, shortText, time } from './common.ts';

export const strengthShape = z
  .object({
    score: z.number().int().min(0).max(4).describe('0 refused … 4 very strong'),
    acceptable: z.boolean(),
    text: z.string().describe('why it is refused, or how strong it is'),
  })
  .meta({ id: 'PasswordStrength' });

export const strengthBody = z.strictObject({ password: secretText, name: z.string().max(100).default('') });

export const setupStateShape = z.object({
  needed: z.boolean().describe('true while there is no administrator'),
  hostname: z.string(),
});

export const setupTokenBody = z.strictObject({ token: z.string().max(200) });
export const setupBody = z.strictObject({
  token: z.string().max(200).describe('from the link that `start` printed'),
  name: shortText,
  password: secretText,
});

export const signInBody = z.strictObject({
  name: shortText.describe('an administrator, or the address of an account'),
  password: secretText,
});

export const sessionShape = z
  .object({
    kind: z.enum(['administrator', 'account', 'token']),
    name: z.string().describe('the administrator, the address of the account, or `token NAME`'),
    hostname: z.string(),
    csrf: z
      .string()
      .nullable()
      .describe('to be sent as X-CSRF-Token with every call that changes something; null for a token'),
    scopes: z.array(z.string()),
    idleUntil: time.nullable(),
    expiresAt: time.nullable(),
  })
  .meta({ id: 'Session' });

export const sessionRow = z
  .object({
    id: z.string(),
    name: z.string(),
    address: z.string(),
    userAgent: z.string(),
    createdAt: time,
    lastSeenAt: time,
    expiresAt: time,
    current: z.boolean(),
  })
  .meta({ id: 'SessionRow' });
export const sessionList = page(sessionRow);

export const administratorRow = z
  .object({ name: z.string(), createdAt: time, lastSignInAt: time.nullable() })
  .meta({ id: 'Administrator' });
export const administratorList = page(administratorRow);
export const administratorBody = z.strictObject({ name: shortText, password: secretText });
export const administratorPasswordBody = z.strictObject({
  password: secretText,
  currentPassword: secretText.optional().describe("needed for one's own"),
});

export const SCOPES = ['read', 'write', 'mail-source'] as const;
export const scope = z.enum(SCOPES);

export const tokenRow = z
  .object({
    id: z.string(),
    name: z.string(),
    scopes: z.array(scope),
    scope: z.string().describe('the scopes, in words'),
    by: z.string(),
    createdAt: time,
    lastUsedAt: time.nullable(),
    expiresAt: time,
    state: z.enum(['active', 'revoked', 'expired']),
  })
  .meta({ id: 'Token' });
export const tokenList = page(tokenRow);
export const MAX_TOKEN_DAYS = 366;
export const tokenBody = z.strictObject({
  name: z.string().min(1).max(100),
  scopes: z.array(scope).min(1).max(SCOPES.length),
  days: z.number().int().min(1).max(MAX_TOKEN_DAYS),
});
export const newTokenShape = tokenRow.extend({ token: z.string().describe('shown this once') });

export const auditRow = z
  .object({
    id: z.string(),
    at: time,
    who: z.string(),
    address: z.string().nullable().describe('of the browser; null at the command line'),
    action: z.string().describe('the operation, such as account.remove'),
    details: z.string(),
  })
  .meta({ id: 'AuditEntry' });
export const auditList = page(auditRow);
