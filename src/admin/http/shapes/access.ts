/** Shapes: setup, session, administrators, tokens, audit. */
import { z } from 'zod';
import { SIGN_INS_KEPT } from '../../../storage/credentials-contract.ts';
import { page, pageQuery, secretText, shortText, time } from './common.ts';

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

export const codeBody = z.strictObject({
  pending: z.string().max(2_000).describe('from the answer to the first step'),
  code: z.string().max(100).describe('of the app, or a recovery code'),
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

export const pendingShape = z
  .object({
    pending: z.string().describe('to be sent to POST session/code with a code; good for five minutes'),
    expiresAt: time,
  })
  .meta({ id: 'PendingSignIn' });
export const signInShape = z.union([sessionShape, pendingShape]);

export const factorShape = z
  .object({
    on: z.boolean(),
    since: time.nullable(),
    recoveryCodesLeft: z.number().int(),
  })
  .meta({ id: 'SecondFactor' });
export const factorBeginBody = z.strictObject({ password: secretText });
export const enrolmentShape = z.object({
  secret: z.string().describe('base 32, for apps that cannot read the QR code'),
  uri: z.string().describe('otpauth:// address, for a QR code'),
});
export const factorConfirmBody = z.strictObject({ code: z.string().max(100) });
export const recoveryCodesShape = z.object({
  recoveryCodes: z.array(z.string()).describe('each good for one sign-in; shown this once'),
});
export const factorOffBody = z.strictObject({ password: secretText, code: z.string().max(100) });

const signInRow = z
  .object({
    at: time,
    outcome: z.enum(['ok', 'refused']),
    address: z.string(),
    service: z.string().describe('smtp, submission, pop3 or page'),
    appPassword: z.string().nullable().describe('its name; null for the password of the account'),
    tls: z.string().nullable(),
    reason: z.string().nullable(),
  })
  .meta({ id: 'SignIn' });
export const signInQuery = z.strictObject({
  ...pageQuery,
  limit: z.coerce.number().int().min(1).max(SIGN_INS_KEPT).default(SIGN_INS_KEPT),
});
export const signInList = page(signInRow);

export const banRow = z
  .object({
    network: z.string(),
    until: time,
    times: z.number().int().describe('how often it was banned, this time included'),
    failures: z.number().int().describe('failed sign-ins that led to it'),
  })
  .meta({ id: 'Ban' });
export const banList = page(banRow);
export const banBody = z.strictObject({ network: shortText });

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
  .object({ name: z.string(), createdAt: time, lastSignInAt: time.nullable(), secondFactor: z.boolean() })
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
