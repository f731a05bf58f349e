/** Puts DANE, MTA-STS and the administrator's rule together: one decision for each server. */
import { describeError } from '../mail/failure.ts';
import type { PolicyQuestion, ReportedPolicy, TlsPolicies, TlsPolicy } from './contract.ts';
import { type DaneFinding, type DaneResolver, findDane } from './dane.ts';
import type { StsFinding } from './mta-sts.ts';
import { isMxOf } from './sts-policy.ts';

export interface PolicySources {
  readonly resolver: DaneResolver;
  readonly sts: { find(domain: string): Promise<StsFinding> };
}

export function tlsPolicies({ resolver, sts }: PolicySources): TlsPolicies {
  return {
    async policyFor(question) {
      const { domain, host, rule } = question;
      if (rule === 'none')
        return policy('none', 'rule', `${host}: never with TLS, by the rule for ${domain}`);
      try {
        const [dane, found] = await Promise.all([findDane(resolver, question), sts.find(domain)]);
        return combine(question, dane, found);
      } catch (error) {
        const text = `${host}: which TLS it must have could not be found out: ${describeError(error)}`;
        return { ...policy('verify', 'settings', text), refused: text };
      }
    },
  };
}

function policy(level: TlsPolicy['level'], source: TlsPolicy['source'], text: string): TlsPolicy {
  return { level, source, text, refused: null, tlsa: [], servername: null, names: [] };
}

/** DANE before MTA-STS (RFC 8461 §2), and neither below what the rule asks for. */
export function combine(question: PolicyQuestion, dane: DaneFinding, sts: StsFinding): TlsPolicy {
  return { ...decide(question, dane, sts), reported: reportedPolicy(question, dane, sts) };
}

/** Host patterns and records named in a report. */
const MAX_REPORTED = 20;

/** The one policy that counts for a session, as reports name it. */
function reportedPolicy(
  { domain, host }: PolicyQuestion,
  dane: DaneFinding,
  { policy: sts, failure }: StsFinding,
): ReportedPolicy {
  const none = { domain, policyDomain: domain, strings: [], mx: [], failure: null };
  if (dane.found === 'trouble')
    return { ...none, type: 'tlsa', policyDomain: host, failure: 'dnssec-invalid' };
  if (dane.found === 'records') {
    const strings = dane.records
      .slice(0, MAX_REPORTED)
      .map((one) => `${one.usage} ${one.selector} ${one.matchingType} ${one.data.toString('hex')}`);
    return { ...none, type: 'tlsa', policyDomain: dane.base, strings };
  }
  if (dane.found === 'unusable' && sts?.mode !== 'enforce')
    return { ...none, type: 'tlsa', policyDomain: host, failure: 'tlsa-invalid' };
  if (sts !== null && sts.mode !== 'none') {
    const mx = sts.mx.slice(0, MAX_REPORTED);
    const patterns = mx.map((one) => `mx: ${one}`);
    const strings = ['version: STSv1', `mode: ${sts.mode}`, ...patterns, `max_age: ${sts.maxAgeSeconds}`];
    return { ...none, type: 'sts', strings, mx, failure: isMxOf(sts, host) ? null : 'validation-failure' };
  }
  if (sts === null && failure !== undefined) return { ...none, type: 'sts', failure };
  return { ...none, type: 'no-policy-found' };
}

function decide(question: PolicyQuestion, dane: DaneFinding, { policy: sts, note }: StsFinding): TlsPolicy {
  const { domain, host, rule } = question;
  if (dane.found === 'trouble') {
    const text = `${host}: not used now, since ${dane.text}; it may have a certificate to be checked by DANE`;
    return { ...policy('dane', 'dane', text), refused: text };
  }
  if (dane.found === 'records') {
    const text = `${host}: the certificate is checked by DANE, by its ${dane.text}; without TLS or with another certificate no mail goes there`;
    const names = [...new Set([host, dane.base, domain])];
    return { ...policy('dane', 'dane', text), tlsa: dane.records, servername: dane.base, names };
  }
  if (sts?.mode === 'enforce') return enforced(question, sts.mx, note);
  if (rule === 'verify') {
    const text = `${host}: TLS with a trusted certificate for this name is required by the rule for ${domain}`;
    return policy('verify', 'rule', text);
  }
  if (dane.found === 'unusable') {
    const text = `${host}: TLS is required, with any certificate, since ${dane.text}`;
    return policy('encrypt', 'dane', text);
  }
  if (rule === 'encrypt') {
    const text = `${host}: TLS is required, with any certificate, by the rule for ${domain}`;
    return policy('encrypt', 'rule', text);
  }
  const text = `${host}: TLS when the server offers it, with any certificate, otherwise in clear: no DANE (${dane.text}), ${stsWords(sts, host, note)}`;
  return policy('opportunistic', rule === null ? 'settings' : 'rule', text);
}

function enforced({ domain, host }: PolicyQuestion, mx: readonly string[], note: string | null): TlsPolicy {
  const also = note === null ? '' : ` (${note})`;
  if (!isMxOf({ mx }, host)) {
    const text = `${host}: no mail goes there, since the MTA-STS policy of ${domain} allows only ${mx.join(', ')}${also}`;
    return { ...policy('verify', 'mta-sts', text), refused: text };
  }
  const text = `${host}: TLS with a trusted certificate for this name is required by the MTA-STS policy of ${domain}${also}`;
  return policy('verify', 'mta-sts', text);
}

function stsWords(sts: StsFinding['policy'], host: string, note: string | null): string {
  if (sts === null) return note ?? 'no MTA-STS policy';
  if (sts.mode === 'none') return 'MTA-STS is switched off by the domain (mode none)';
  const fits = isMxOf(sts, host) ? '' : ', which does not name this host';
  return `an MTA-STS policy that is only tested (mode testing)${fits}`;
}
