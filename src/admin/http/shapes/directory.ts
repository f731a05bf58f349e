/** Shapes: domains, accounts, aliases, import. */
import { z } from 'zod';
import { page, pageQuery, secretText, shortText, time } from './common.ts';

export const domainRow = z
  .object({
    name: z.string(),
    forward: z
      .union([z.object({ host: z.string(), port: z.number().int() }), z.object({ address: z.string() })])
      .nullable(),
    catchAll: z.string().nullable(),
  })
  .meta({ id: 'Domain' });
export const domainQuery = z.strictObject(pageQuery);
export const domainList = page(domainRow);
export const domainBody = z.strictObject({ name: shortText });
export const domainPatch = z.strictObject({
  forward: shortText.nullable().optional().describe('HOST[:PORT], an address, or null'),
  catchAll: shortText.nullable().optional().describe('an address, or null'),
});

export const forwardShape = z
  .object({ targets: z.array(z.string()), keep: z.boolean().describe('a copy stays in the mailbox') })
  .meta({ id: 'AccountForward' });
export const forwardBody = z.strictObject({ targets: z.array(shortText).min(1).max(100), keep: z.boolean() });

export const accountRow = z
  .object({
    address: z.string(),
    enabled: z.boolean(),
    quotaBytes: z.number().int().nullable(),
    usedBytes: z.number().int(),
    isPostmaster: z.boolean(),
    forward: forwardShape.nullable().describe('where its mail is forwarded to'),
    secondFactor: z.boolean().describe('the page asks its owner for a code after the password'),
    createdAt: time,
  })
  .meta({ id: 'Account' });
export const directoryQuery = z.strictObject({ ...pageQuery, domain: z.string().max(300).optional() });
export const accountList = page(accountRow);
export const accountBody = z.strictObject({
  address: shortText,
  password: secretText,
  quota: z.string().max(100).optional().describe('such as 500MB; left out: no limit'),
});
export const accountPatch = z.strictObject({
  enabled: z.boolean().optional(),
  quota: z.string().max(100).nullable().optional().describe('such as 500MB; null: no limit'),
  password: secretText.optional(),
  isPostmaster: z.literal(true).optional(),
  forward: forwardBody.nullable().optional().describe('null: none'),
});

export const aliasRow = z.object({ address: z.string(), targets: z.array(z.string()) }).meta({ id: 'Alias' });
export const aliasList = page(aliasRow);
export const aliasBody = z.strictObject({ address: shortText, targets: z.array(shortText).min(1).max(1000) });
export const aliasPatch = z.strictObject({ targets: z.array(shortText).min(1).max(1000) });
export const aliasDone = aliasRow.extend({
  unknown: z.array(z.string()).describe('targets in hosted domains that nothing there answers to'),
});

/** 1 MB is the body's own limit; a file larger than that is imported in parts. */
export const importBody = z.strictObject({
  csv: z
    .string()
    .describe(
      'first line: names of the columns, of address, password, quota, targets. With targets (separated by blanks or semicolons) a line is an alias, else an account',
    ),
  dryRun: z.boolean().default(true),
});
export const importLine = z.object({
  line: z.number().int(),
  type: z.enum(['account', 'alias', 'line']),
  address: z.string(),
  action: z.enum(['add', 'skip', 'error']),
  error: z.string().nullable(),
  mend: z.string(),
});
export const importShape = z
  .object({
    lines: z.array(importLine),
    applied: z.boolean().describe('true when the lines to add were added'),
    added: z.number().int(),
    errors: z.number().int(),
  })
  .meta({ id: 'ImportReport' });
