import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RuleLevel, StsPolicy } from '../../src/trust/contract.ts';
import type { DaneFinding } from '../../src/trust/dane.ts';
import { combine, tlsPolicies } from '../../src/trust/policies.ts';

const QUESTION = { domain: 'far.test', host: 'mx.far.test', port: 25, mxAuthenticated: true };
const RECORD = { usage: 3, selector: 1, matchingType: 1, data: Buffer.alloc(32) };
const DANE: Record<string, DaneFinding> = {
  nothing: { found: 'nothing', text: 'it has no TLSA records' },
  trouble: { found: 'trouble', text: 'SERVFAIL' },
  unusable: { found: 'unusable', text: 'none can be used' },
  records: { found: 'records', base: 'mx.far.test', records: [RECORD], text: 'TLSA records at x' },
};
const sts = (mode: StsPolicy['mode'], mx = 'mx.far.test') => ({ mode, maxAgeSeconds: 1, mx: [mx] });

describe('one decision of DANE, MTA-STS and the rule', () => {
  for (const [dane, policy, rule, wanted] of [
    ['nothing', null, null, 'opportunistic settings'],
    ['nothing', null, 'opportunistic', 'opportunistic rule'],
    ['nothing', null, 'encrypt', 'encrypt rule'],
    ['nothing', null, 'verify', 'verify rule'],
    ['nothing', sts('none'), null, 'opportunistic settings'],
    ['nothing', sts('testing', 'mx.else.test'), null, 'opportunistic settings'],
    ['nothing', sts('enforce'), null, 'verify mta-sts'],
    ['nothing', sts('enforce'), 'encrypt', 'verify mta-sts'],
    ['nothing', sts('enforce', 'mx.else.test'), null, 'verify mta-sts refused'],
    ['unusable', null, null, 'encrypt dane'],
    ['unusable', null, 'verify', 'verify rule'],
    ['unusable', sts('enforce'), null, 'verify mta-sts'],
    ['records', null, null, 'dane dane'],
    ['records', null, 'opportunistic', 'dane dane'],
    ['records', null, 'verify', 'dane dane'],
    // RFC 8461 §2: MTA-STS neither weakens DANE nor stands in its way.
    ['records', sts('testing'), null, 'dane dane'],
    ['records', sts('enforce', 'mx.else.test'), null, 'dane dane'],
    ['trouble', null, null, 'dane dane refused'],
    ['trouble', sts('enforce'), 'encrypt', 'dane dane refused'],
  ] as const satisfies readonly (readonly [string, StsPolicy | null, RuleLevel, string])[]) {
    it(`${dane}, MTA-STS ${policy?.mode ?? '-'} for ${policy?.mx ?? '-'}, rule ${rule ?? '-'}: ${wanted}`, () => {
      const finding = DANE[dane];
      assert.ok(finding);
      const { level, source, refused, text } = combine({ ...QUESTION, rule }, finding, {
        policy,
        note: null,
      });
      assert.equal(`${level} ${source}${refused === null ? '' : ' refused'}`, wanted);
      assert.match(text, /^mx\.far\.test: /);
    });
  }

  const never = async (): Promise<never> => {
    throw new Error('the store is away');
  };

  it('"never TLS" is obeyed without asking anybody', async () => {
    const policies = tlsPolicies({
      resolver: { addresses: never, alias: never, tlsa: never },
      sts: { find: never },
    });
    assert.equal((await policies.policyFor({ ...QUESTION, rule: 'none' })).level, 'none');
  });

  it('when it cannot be known whether a policy is in force, no mail goes there', async () => {
    const nothing = async () => ({ status: 'nxdomain', cached: false }) as const;
    const policies = tlsPolicies({
      resolver: { addresses: nothing, alias: nothing, tlsa: nothing },
      sts: { find: never },
    });
    assert.match((await policies.policyFor({ ...QUESTION, rule: null })).refused ?? '', /the store is away/);
  });
});
