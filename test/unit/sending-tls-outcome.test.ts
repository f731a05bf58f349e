/** How each session is told of for the TLS reports (RFC 8460). */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { Endpoint } from '../../src/sending/connect.ts';
import { openConnection } from '../../src/sending/open.ts';
import { buildSettings } from '../../src/settings/build.ts';
import type { TlsOutcome, TlsPolicy } from '../../src/trust/contract.ts';
import { combine } from '../../src/trust/policies.ts';
import { makeCertificates } from '../support/certificates.ts';
import { type PeerScript, startSmtpPeer } from '../support/smtp-peer.ts';

const settings = buildSettings(new Map());
const QUESTION = { domain: 'far.test', host: 'mx.far.test', port: 25, mxAuthenticated: true, rule: null };
const NOTHING = { found: 'nothing', text: '-' } as const;
const NONE = combine(QUESTION, NOTHING, { policy: null, note: null });
const NOT_FETCHED = combine(QUESTION, NOTHING, { policy: null, note: '-', failure: 'sts-policy-invalid' });
const sts = (mode: 'enforce' | 'testing', mx = 'mx.far.test') =>
  combine(QUESTION, NOTHING, { policy: { mode, maxAgeSeconds: 1, mx: [mx] }, note: null });
const RECORD = { usage: 3, selector: 1, matchingType: 1, data: Buffer.alloc(32) };
const DANE = combine(
  QUESTION,
  { found: 'records', base: 'mx.far.test', records: [RECORD], text: '-' },
  { policy: null, note: null },
);

async function outcomesOf(t: TestContext, script: PeerScript, policy: TlsPolicy): Promise<TlsOutcome[]> {
  const peer = await startSmtpPeer(script);
  t.after(() => peer.close());
  const outcomes: TlsOutcome[] = [];
  const { address, port } = peer;
  const endpoint: Endpoint = {
    ...{
      via: 'mx',
      host: 'mx.far.test',
      port,
      address,
      preference: 10,
      tls: 'opportunistic',
      smtpHost: null,
    },
    ...{ credentials: null, policy, key: '' },
  };
  const opened = await openConnection({
    ...{ endpoint, hostname: 'our.test', settings: () => settings, signal: new AbortController().signal },
    observe: (outcome) => outcomes.push(outcome),
  });
  if (opened.ok) opened.connection.destroy('the test is over');
  return outcomes;
}

describe('how a session is told of in TLS reports', () => {
  for (const [what, policy, script, wanted] of [
    ['any TLS does without a policy', NONE, 'tls', [null]],
    ['no STARTTLS', NONE, 'clear', ['starttls-not-supported']],
    ['STARTTLS refused, and called once more in clear', NONE, 'refused', ['validation-failure']],
    ['no STARTTLS where it is a must', sts('enforce'), 'clear', ['starttls-not-supported']],
    ['a certificate that nobody trusts', sts('testing'), 'tls', ['certificate-not-trusted']],
    ['the same where mail stops', sts('enforce'), 'tls', ['certificate-not-trusted']],
    ['a host that the policy does not name', sts('enforce', 'x.test'), 'tls', ['validation-failure']],
    ['another certificate than that of DANE', DANE, 'tls', ['validation-failure']],
    ['a policy that could not be read', NOT_FETCHED, 'tls', ['sts-policy-invalid']],
    ['a server that does not greet', NONE, 'silent', []],
    ['no policies at all', { ...NONE, reported: undefined }, 'tls', []],
  ] as const) {
    it(what, async (t) => {
      const { selfSigned: tls } = await makeCertificates(t, ['mx.far.test']);
      const scripts: Record<typeof script, PeerScript> = {
        ...{ tls: { tls }, clear: {}, refused: { tls, at: { starttls: '454 4.7.0 Not now' } } },
        silent: { at: { greeting: '554 5.0.0 No' } },
      };
      const { reported, ...bare } = policy;
      const found = await outcomesOf(
        t,
        scripts[script],
        reported === undefined ? bare : { ...bare, reported },
      );
      assert.deepEqual(
        found.map(({ failure }) => failure),
        wanted,
      );
      for (const { mxHost, mxAddress, policy } of found)
        assert.deepEqual([mxHost, mxAddress, policy], ['mx.far.test', '127.0.0.1', reported]);
    });
  }
});
