/** The DNS records a hosted domain wants for this server. */
import { z } from 'zod';
import { type CertificateKey, OperationError } from './context.ts';
import { MAIL_SERVICES } from './mail-services.ts';
import { type OperationTable, operation } from './operation.ts';

/** What stands for a service that there is not (RFC 6186 §3.4). */
const ABSENT = '0 0 0 .';
const IMAP = ['_imap._tcp', '_imaps._tcp'];

/** What a hosted domain is to publish; `note` is for people. */
interface WantedRecord {
  readonly name: string;
  readonly type: string;
  readonly value: string;
  readonly note?: string;
}

/** The key of our certificate for DANE (RFC 7672 §3.1.1); none for a key that does not stay. */
function tlsaRecords(host: string, key: CertificateKey | null): readonly WantedRecord[] {
  if (key === null || key.changes) return [];
  const note = 'only with DNSSEC (DANE); before the certificate gets another key, publish that one beside it';
  return [{ name: `_25._tcp.${host}`, type: 'TLSA', value: `3 1 1 ${key.sha256}`, note }];
}

export const dnsOperations: OperationTable = {
  'dns.show': operation(z.strictObject({ domain: z.string().min(1).max(1000) }), async (context, args) => {
    const name = args.domain.toLowerCase().replace(/\.$/, '');
    const domain = await context.storage.domain(name);
    if (domain === null) {
      throw new OperationError(`${name} is not a hosted domain`, `Add it with "cmail domain add ${name}".`);
    }
    const host = `${context.hostname}.`;
    const ports = context.mailServices();
    const records: readonly WantedRecord[] = [
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
      {
        name: `_smtp._tls.${name}.`,
        type: 'TXT',
        value: `"v=TLSRPTv1; rua=mailto:postmaster@${name}"`,
        note: 'optional: asks other servers for daily reports on TLS, to this address (RFC 8460)',
      },
      ...tlsaRecords(host, await context.certificateKey()),
    ];
    return { domain: name, records };
  }),
};
