/** The DNS records a hosted domain wants for this server. */
import { z } from 'zod';
import { OperationError } from './context.ts';
import { MAIL_SERVICES } from './mail-services.ts';
import { type OperationTable, operation } from './operation.ts';

/** What stands for a service that there is not (RFC 6186 §3.4). */
const ABSENT = '0 0 0 .';
const IMAP = ['_imap._tcp', '_imaps._tcp'];

export const dnsOperations: OperationTable = {
  'dns.show': operation(z.strictObject({ domain: z.string().min(1).max(1000) }), async (context, args) => {
    const name = args.domain.toLowerCase().replace(/\.$/, '');
    const domain = await context.storage.domain(name);
    if (domain === null) {
      throw new OperationError(`${name} is not a hosted domain`, `Add it with "cmail domain add ${name}".`);
    }
    const host = `${context.hostname}.`;
    const ports = context.mailServices();
    const records = [
      { name: `${name}.`, type: 'MX', value: `10 ${host}` },
      { name: `${name}.`, type: 'TXT', value: '"v=spf1 mx -all"' },
      ...MAIL_SERVICES.map(({ name: service, srvName }) => ({
        name: `${srvName}.${name}.`,
        type: 'SRV',
        value: ports[service] === null ? ABSENT : `0 1 ${ports[service]} ${host}`,
      })),
      ...IMAP.map((service) => ({ name: `${service}.${name}.`, type: 'SRV', value: ABSENT })),
      // Asked over HTTPS, so of the proxy with TLS in front of the admin listener.
      ...[`autoconfig.${name}.`, `autodiscover.${name}.`]
        .filter((alias) => alias !== host)
        .map((alias) => ({ name: alias, type: 'CNAME', value: host })),
      { name: `_autodiscover._tcp.${name}.`, type: 'SRV', value: `0 1 443 ${host}` },
    ];
    return { domain: name, records };
  }),
};
