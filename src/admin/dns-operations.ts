/** The DNS records a hosted domain wants for this server. */
import { z } from 'zod';
import { OperationError } from './context.ts';
import { type OperationTable, operation } from './operation.ts';

/** Usual port and RFC 6186 / 8314 name of each service of a listener. */
const SERVICES: readonly (readonly [service: string, port: number])[] = [
  ['_submission._tcp', 587],
  ['_submissions._tcp', 465],
  ['_pop3._tcp', 110],
  ['_pop3s._tcp', 995],
];
/** Services there are none of, which is said with the target "." (RFC 6186 §3.4). */
const ABSENT = ['_imap._tcp', '_imaps._tcp'];

export const dnsOperations: OperationTable = {
  'dns.show': operation(z.strictObject({ domain: z.string().min(1).max(1000) }), async (context, args) => {
    const name = args.domain.toLowerCase().replace(/\.$/, '');
    const domain = await context.storage.domain(name);
    if (domain === null) {
      throw new OperationError(`${name} is not a hosted domain`, `Add it with "cmail domain add ${name}".`);
    }
    const host = `${context.hostname}.`;
    const records = [
      { name: `${name}.`, type: 'MX', value: `10 ${host}` },
      { name: `${name}.`, type: 'TXT', value: '"v=spf1 mx -all"' },
      ...SERVICES.map(([service, port]) => ({
        name: `${service}.${name}.`,
        type: 'SRV',
        value: `0 1 ${port} ${host}`,
      })),
      ...ABSENT.map((service) => ({ name: `${service}.${name}.`, type: 'SRV', value: '0 0 0 .' })),
    ];
    return { domain: name, records };
  }),
};
