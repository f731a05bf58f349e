/** Which TLS policy counts for each server of a route. */
import { createHash } from 'node:crypto';
import type { Route } from '../routing/contract.ts';
import type { PolicyQuestion, RuleLevel, TlsPolicies, TlsPolicy } from '../trust/contract.ts';
import type { Endpoint } from './connect.ts';

/** What was set for the destination, by the level its endpoints have; levels that are usual leave it to the policies. */
const RULES: Readonly<Record<string, RuleLevel>> = { none: 'none', encrypt: 'encrypt', required: 'verify' };

export interface PolicyRequest {
  readonly route: Pick<Route, 'via' | 'mx'>;
  /** The recipient domain. */
  readonly domain: string;
  /** Absent: nobody has policies. */
  readonly policies: TlsPolicies | undefined;
}

/**
 * The same endpoints with their policies. Only servers found by MX (also implicit) have any: what somebody entered has
 * the TLS that was entered with it.
 */
export async function applyPolicies(
  endpoints: readonly Endpoint[],
  { route, domain, policies }: PolicyRequest,
): Promise<readonly Endpoint[]> {
  const { via, mx } = route;
  if (policies === undefined || via !== 'mx' || mx === null) return endpoints;
  const mxAuthenticated = mx.status === 'ok' ? mx.authenticated : mx.status === 'nodata';
  const asked = new Map<string, Promise<TlsPolicy>>();
  const ask = ({ host, port, tls }: Endpoint) => {
    const key = `${host}:${port}`;
    const question: PolicyQuestion = { domain, host, port, mxAuthenticated, rule: RULES[tls] ?? null };
    const policy = asked.get(key) ?? policies.policyFor(question);
    asked.set(key, policy);
    return policy;
  };
  return Promise.all(endpoints.map(async (endpoint) => withPolicy(endpoint, await ask(endpoint))));
}

/** A connection is shared only under the same policy it was opened under. */
function withPolicy(endpoint: Endpoint, policy: TlsPolicy): Endpoint {
  const { level, source, refused, servername, names } = policy;
  const digest = createHash('sha256');
  for (const { usage, selector, matchingType, data } of policy.tlsa)
    digest.update(`${usage} ${selector} ${matchingType} ${data.toString('hex')}\n`);
  const key = JSON.stringify([endpoint.key, level, source, refused, servername, names, digest.digest('hex')]);
  return { ...endpoint, policy, key };
}
