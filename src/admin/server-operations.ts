import { z } from 'zod';
import { canonicalDomain } from '../mail/address.ts';
import { parseIpAddress } from '../settings/networks.ts';
import { checkAll } from './check.ts';
import { OperationError } from './context.ts';
import { addressArgument, type OperationTable, operation } from './operation.ts';
import { changeSchema, settingsRefusal } from './settings-operations.ts';

/** The server as a whole: status, explain, verify, check. */
export const serverOperations: OperationTable = {
  status: operation(z.strictObject({}), async (context) => {
    const settings = context.settings.warnings().map(({ key, text }) => `${key}: ${text}`);
    const state: object & { alarms?: unknown } = await context.status();
    const alarms = Array.isArray(state.alarms) ? state.alarms : [];
    return { ...state, alarms: [...alarms, ...context.settings.problems()], settingsWithoutEffect: settings };
  }),

  explain: operation(
    z.strictObject({
      address: z.string().max(1000),
      from: z.string().max(1000).default(''),
      client: z.string().max(100).nullable().default(null),
      user: z.string().max(1000).nullable().default(null),
      with: z.array(changeSchema).max(200).default([]),
      connect: z.boolean().default(false),
    }),
    async (context, args) => {
      if (args.client !== null && args.user !== null) {
        throw new OperationError('a client and a user cannot be given together', 'Give one of them.', 2);
      }
      const client = args.client === null ? null : parseIpAddress(args.client);
      if (client && !client.ok) {
        throw new OperationError(`${args.client} is not an IP address`, 'Write it as 192.0.2.1.', 2);
      }
      const changed = await context.settings.preview(args.with);
      if (!changed.ok) throw settingsRefusal(changed);
      return context.explain({
        address: args.address,
        from: args.from === '' || args.from === '<>' ? '' : addressArgument(args.from),
        client: client?.value ?? null,
        user: args.user === null ? null : addressArgument(args.user),
        settings: changed.settings,
        connect: args.connect,
      });
    },
  ),

  verify: operation(z.strictObject({}), async ({ storage }) => {
    const findings = await storage.verify();
    return { sound: findings.length === 0, findings: findings.slice(0, 1000), total: findings.length };
  }),

  check: operation(
    z.strictObject({ probe: z.string().max(1000).nullable().default(null) }),
    (context, { probe }) => {
      if (probe === null) return checkAll(context, { probe });
      const domain = canonicalDomain(probe);
      if (domain !== undefined) return checkAll(context, { probe: domain });
      throw new OperationError(`${probe} is not a domain`, 'Write it as example.com.', 2);
    },
  ),
};
