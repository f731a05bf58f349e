import { z } from 'zod';
import { canonicalDomain } from '../mail/address.js';
import { parseIpAddress } from '../settings/networks.js';
import { checkAll } from './check.js';
import { OperationError } from './context.js';
import { addressArgument, operation } from './operation.js';
import { changeSchema } from './settings-operations.js';
/** The server as a whole: status, explain, verify, check. */
export const serverOperations = {
    status: operation(z.strictObject({}), async (context) => {
        const settings = context.settings.warnings().map(({ key, text }) => `${key}: ${text}`);
        const state = await context.status();
        const alarms = Array.isArray(state.alarms) ? state.alarms : [];
        return { ...state, alarms: [...alarms, ...context.settings.problems()], settingsWithoutEffect: settings };
    }),
    explain: operation(z.strictObject({
        address: z.string().max(1000),
        from: z.string().max(1000).default(''),
        client: z.string().max(100).nullable().default(null),
        user: z.string().max(1000).nullable().default(null),
        with: z.array(changeSchema).max(200).default([]),
        connect: z.boolean().default(false),
    }), async (context, args) => {
        if (args.client !== null && args.user !== null) {
            throw new OperationError('a client and a user cannot be given together', 'Give one of them.', 2);
        }
        const client = args.client === null ? null : parseIpAddress(args.client);
        if (client && !client.ok) {
            throw new OperationError(`${args.client} is not an IP address`, 'Write it as 192.0.2.1.', 2);
        }
        const changed = await context.settings.preview(args.with);
        if (!changed.ok)
            throw new OperationError(changed.message, changed.mend);
        return context.explain({
            address: args.address,
            from: args.from === '' || args.from === '<>' ? '' : addressArgument(args.from),
            client: client?.value ?? null,
            user: args.user === null ? null : addressArgument(args.user),
            settings: changed.settings,
            connect: args.connect,
        });
    }),
    verify: operation(z.strictObject({}), async ({ storage }) => {
        const findings = await storage.verify();
        return { sound: findings.length === 0, findings: findings.slice(0, 1000), total: findings.length };
    }),
    check: operation(z.strictObject({ probe: z.string().max(1000).nullable().default(null) }), (context, { probe }) => {
        if (probe === null)
            return checkAll(context, { probe });
        const domain = canonicalDomain(probe);
        if (domain !== undefined)
            return checkAll(context, { probe: domain });
        throw new OperationError(`${probe} is not a domain`, 'Write it as example.com.', 2);
    }),
};
