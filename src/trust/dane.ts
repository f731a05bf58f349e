/** DANE for SMTP (RFC 7672): what DNS, validated by DNSSEC, says of a server's certificate. */
import type { Resolver, TlsaRecord } from '../dns/contract.ts';
import type { PolicyQuestion } from './contract.ts';
import { isUsable } from './tlsa.ts';

export type DaneFinding =
  /** DANE says nothing of this server; `text` says why. */
  | { readonly found: 'nothing'; readonly text: string }
  /** The records could not be had: the server must not be used (RFC 7672 §2.1.2). */
  | { readonly found: 'trouble'; readonly text: string }
  /** There are records and none that can be used: TLS is a must, with any certificate (RFC 7672 §2.2). */
  | { readonly found: 'unusable'; readonly text: string }
  | {
      readonly found: 'records';
      readonly base: string;
      readonly records: readonly TlsaRecord[];
      readonly text: string;
    };

export type DaneResolver = Pick<Resolver, 'addresses' | 'alias' | 'tlsa'>;

/** Records used of one answer. */
const MAX_RECORDS = 50;

/** Looks up the TLSA records of a server. Never rejects. */
export async function findDane(
  resolver: DaneResolver,
  { host, port, mxAuthenticated }: PolicyQuestion,
): Promise<DaneFinding> {
  if (!mxAuthenticated) return nothing('its MX records are not protected by DNSSEC, as far as is known here');
  const addresses = await resolver.addresses(host);
  if (addresses.status !== 'ok') return nothing('it has no addresses');
  const bases = new Set([addresses.canonicalName, host]);
  if (!addresses.authenticated) {
    const insecure = nothing('its addresses are not protected by DNSSEC');
    if (bases.size === 1) return insecure;
    // RFC 7672 §2.2.2: a protected alias counts although it leads to what is not.
    const alias = await resolver.alias(host);
    if (alias.status === 'no-answer') {
      return { found: 'trouble', text: `the alias ${host} could not be looked up (${alias.detail})` };
    }
    if (alias.status !== 'ok' || !alias.authenticated) return insecure;
    bases.delete(addresses.canonicalName);
  }
  // At the end of a validated chain of aliases first, then at the name itself.
  for (const base of bases) {
    const name = `_${port}._tcp.${base}`;
    const answer = await resolver.tlsa(name);
    if (answer.status === 'no-answer') {
      return { found: 'trouble', text: `the TLSA records of ${base} could not be had (${answer.detail})` };
    }
    if (answer.status !== 'ok') continue;
    if (!answer.authenticated) return nothing(`its TLSA records at ${name} are not protected by DNSSEC`);
    const records = answer.records.slice(0, MAX_RECORDS).filter(isUsable);
    if (records.length > 0) return { found: 'records', base, records, text: `TLSA records at ${name}` };
    return { found: 'unusable', text: `none of the TLSA records at ${name} can be used` };
  }
  return nothing('it has no TLSA records');
}

function nothing(text: string): DaneFinding {
  return { found: 'nothing', text };
}
