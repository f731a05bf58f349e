import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type SettingInput, settingErrorText, validateChanges } from '../../src/settings/validate.ts';

const nobody = { isOwnHost: () => false };

function changesOf(changes: Readonly<Record<string, string>>): SettingInput[] {
  return Object.entries(changes).map(([key, value]) => ({ key, value }));
}

async function validate(
  changes: Readonly<Record<string, string>>,
  current: Readonly<Record<string, string>> = {},
  context: Parameters<typeof validateChanges>[2] = nobody,
) {
  return validateChanges(new Map(Object.entries(current)), changesOf(changes), context);
}

async function errorOf(...args: Parameters<typeof validate>) {
  const result = await validate(...args);
  assert.ok(!result.ok, 'refused');
  return result.errors[0]!;
}

test('an error names key, value, reason and a value that would do', async () => {
  const error = await errorOf({ 'smtp.socketTimeout': '601' });
  assert.equal(error.key, 'smtp.socketTimeout');
  assert.equal(error.value, '601');
  assert.match(error.reason, /above the largest value 600 .*1–600.*s/);
  assert.equal(error.wouldDo, '30');
  assert.match(settingErrorText(error), /^smtp\.socketTimeout = 601: above .*; 30 would do$/);
});

test('an unknown key suggests the nearest, and does not repeat what may be a secret', async () => {
  const error = await errorOf({ 'smtp.sockettimeuot': '30' });
  assert.equal(error.wouldDo, 'smtp.socketTimeout');
  const secret = await errorOf({ 'smtp.host.pasword': 'hunter22' });
  assert.equal(secret.wouldDo, 'smtp.host.password');
  assert.doesNotMatch(JSON.stringify(secret), /hunter22/);
});

test('a bad secret is not repeated', async () => {
  assert.doesNotMatch(JSON.stringify(await errorOf({ 'smtp.host.password': 'hunter\n22' })), /hunter/);
});

test('every error of the set is told, and a key given twice is one', async () => {
  const twice = await validateChanges(
    new Map(),
    [
      { key: 'smtp.hopLimit', value: '5' },
      { key: 'smtp.hopLimit', value: '6' },
      { key: 'smtp.outboundPort', value: '0' },
    ],
    nobody,
  );
  assert.ok(!twice.ok);
  assert.deepEqual(
    twice.errors.map(({ key }) => key),
    ['smtp.hopLimit', 'smtp.outboundPort'],
  );
});

test('fallback and MX off need an SMTP host, given before or in the same set', async () => {
  assert.match((await errorOf({ 'smtp.fallbackToSmtpHost': 'on' })).reason, /needs an SMTP host/);
  assert.match((await errorOf({ 'smtp.useMxResolution': 'off' })).reason, /none is entered/);
  const host = { 'smtp.host.name': 'relay.example.net' };
  assert.ok((await validate({ 'smtp.fallbackToSmtpHost': 'on', ...host })).ok);
  assert.ok((await validate({ 'smtp.useMxResolution': 'off' }, host)).ok);
  const removed = await errorOf({ 'smtp.host.name': '' }, { ...host, 'smtp.fallbackToSmtpHost': 'on' });
  assert.equal(removed.key, 'smtp.fallbackToSmtpHost');
});

test('an SMTP host that is this server is refused', async () => {
  const asked: unknown[] = [];
  const context = {
    isOwnHost: async (name: string, port: number) => {
      asked.push([name, port]);
      return name === 'mail.example.com' && port === 2525;
    },
  };
  const changes = { 'smtp.host.name': 'mail.example.com', 'smtp.host.port': '2525' };
  assert.match((await errorOf(changes, {}, context)).reason, /is this server/);
  assert.deepEqual(asked, [['mail.example.com', 2525]]);
  assert.ok((await validate({ 'smtp.host.name': 'mail.example.com' }, {}, context)).ok);
  asked.length = 0;
  assert.ok(
    (await validate({ 'smtp.hopLimit': '50' }, changes, context)).ok,
    'an unrelated change is always possible',
  );
  assert.deepEqual(asked, []);
});

test('a password without TLS is refused, unless the host is loopback', async () => {
  const open = { 'smtp.host.tls': 'none', 'smtp.host.username': 'u', 'smtp.host.password': 'p' };
  const error = await errorOf({ ...open, 'smtp.host.name': 'relay.example.net' });
  assert.equal(error.key, 'smtp.host.tls');
  for (const loopback of ['127.0.0.1', '127.9.9.9', '::1', 'localhost']) {
    assert.ok((await validate({ ...open, 'smtp.host.name': loopback })).ok, loopback);
  }
  const protectedHost = { ...open, 'smtp.host.name': 'relay.example.net', 'smtp.host.tls': 'required' };
  assert.ok((await validate(protectedHost)).ok);
});

test('a further SMTP host needs the first, is checked like it, and guards its own password', async () => {
  const first = { 'smtp.host.name': 'one.example.net' };
  const second = { 'smtp.host2.name': 'two.example.net' };
  const alone = await errorOf(second);
  assert.deepEqual([alone.key, alone.also], ['smtp.host2.name', ['smtp.host.name']]);
  assert.match(alone.wouldDo, /two\.example\.net in smtp\.host\.name/);
  assert.ok((await validate({ ...first, ...second })).ok);
  const open = { 'smtp.host2.tls': 'none', 'smtp.host2.username': 'u', 'smtp.host2.password': 'p' };
  assert.equal((await errorOf({ ...first, ...second, ...open })).key, 'smtp.host2.tls');
  const context = { isOwnHost: (name: string) => name === 'two.example.net' };
  const own = await errorOf({ ...first, ...second }, {}, context);
  assert.deepEqual([own.key, own.also], ['smtp.host2.name', ['smtp.host2.port']]);
});

test('rules and senders may name only SMTP hosts that are there', async () => {
  const host = { 'smtp.host.name': 'one.example.net' };
  const rule = await errorOf({ 'smtp.destinationRules': 'a.example hold,b.example route=smtp-host' });
  assert.deepEqual([rule.key, rule.value], ['smtp.destinationRules', 'b.example route=smtp-host']);
  assert.deepEqual(rule.also, ['smtp.host.name']);
  const numbered = await errorOf({ 'smtp.destinationRules': 'b.example route=smtp-host:2' }, host);
  assert.deepEqual(numbered.also, ['smtp.host2.name']);
  const sender = await errorOf({ 'smtp.senderHosts': '@a.example=1,b@a.example=3 always' }, host);
  assert.deepEqual([sender.key, sender.value], ['smtp.senderHosts', 'b@a.example=3 always']);
  const removed = await errorOf({ 'smtp.host.name': '' }, { ...host, 'smtp.senderHosts': '@a.example=1' });
  assert.equal(removed.key, 'smtp.senderHosts');
});

test('a rule that leads to this server is refused', async () => {
  const context = { isOwnHost: (name: string, port: number) => name === 'us.example' && port === 25 };
  const rules = (port: number) => ({
    'smtp.destinationRules': `a.example route=host:us.example:${port}`,
  });
  assert.match((await errorOf(rules(25), {}, context)).reason, /port 25 of us\.example is this server/);
  assert.ok((await validate(rules(26), {}, context)).ok);
  assert.ok((await validate({ 'smtp.hopLimit': '50' }, rules(25), context)).ok, 'untouched');
});

test('senders are read in canonical form; what cannot be used names the entry and what would do', async () => {
  const host = { 'smtp.host.name': 'one.example.net', 'smtp.host2.name': 'two.example.net' };
  const text = ' Sales@Example.COM=2 , @Example.org=1  ALWAYS ';
  const set = await validate({ 'smtp.senderHosts': text }, host);
  assert.ok(set.ok);
  assert.equal(set.values.get('smtp.senderHosts'), 'sales@example.com=2,@example.org=1 always');
  for (const [entered, reason, wouldDo] of [
    ['sales@example.com', /entry 1 .*number of an SMTP host/, /sales@example\.com=2/],
    ['@a.example=1,example.com=2', /entry 2 .*"example\.com" is neither an address nor @/, /=2/],
    ['@a.example=5', /number of an SMTP host, 1 to 4/, /=2/],
    ['@a.example=1 often', /"often" is not "always"/, /@a\.example=1 always/],
    ['@a.example=1,@A.example=2', /entry 2 .*already/, /one of them/],
  ] as const) {
    const error = await errorOf({ 'smtp.senderHosts': entered }, host);
    assert.match(error.reason, reason, entered);
    assert.match(error.wouldDo, wouldDo, entered);
  }
});

test('values without effect are stored and warned of', async () => {
  const refuseOff = await validate({ 'smtp.assumeExternal': 'on', 'smtp.refuseUnknownUsers': 'off' });
  assert.ok(refuseOff.ok);
  assert.deepEqual(
    refuseOff.warnings.map(({ key }) => key),
    ['smtp.assumeExternal'],
  );
  assert.equal(refuseOff.values.get('smtp.assumeExternal'), 'on');
  const mxOff = await validate({
    'smtp.fallbackToSmtpHost': 'on',
    'smtp.useMxResolution': 'off',
    'smtp.host.name': 'relay.example.net',
  });
  assert.ok(mxOff.ok);
  assert.deepEqual(
    mxOff.warnings.map(({ key }) => key),
    ['smtp.fallbackToSmtpHost'],
  );
  const quiet = await validate({ 'smtp.assumeExternal': 'on' });
  assert.deepEqual(quiet.ok && quiet.warnings, []);
});

test('null goes back to the default', async () => {
  const result = await validateChanges(
    new Map([['smtp.hopLimit', '5']]),
    [{ key: 'smtp.hopLimit', value: null }],
    nobody,
  );
  assert.ok(result.ok);
  assert.equal(result.values.has('smtp.hopLimit'), false);
});
