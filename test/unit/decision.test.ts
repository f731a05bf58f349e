import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Directory } from '../../src/directory/directory.ts';
import { parseAddress } from '../../src/mail/address.ts';
import { NO_RECIPIENT_DSN } from '../../src/mail/dsn.ts';
import type { Client } from '../../src/receiving/client.ts';
import {
  type Decision,
  type DecisionDependencies,
  type DecisionRequest,
  decide,
} from '../../src/receiving/decision.ts';
import { NoticeRate } from '../../src/receiving/notice-rate.ts';
import { createRedecide, LOOP_RULE } from '../../src/receiving/redecide.ts';
import { Srs } from '../../src/receiving/srs.ts';
import { buildSettings } from '../../src/settings/build.ts';
import type {
  Account,
  AddressEntry,
  DirectoryStore,
  Domain,
  QueuedRecipient,
} from '../../src/storage/contract.ts';

const LOCAL: Client = { kind: 'local', address: '127.0.0.1', user: null };
const EXTERNAL: Client = { kind: 'external', address: '198.51.100.7', user: null };

function account(id: number, address: string, rest: Partial<Account> = {}): Account {
  return {
    id,
    address,
    enabled: true,
    quotaBytes: null,
    usedBytes: 0,
    createdAt: 0,
    isPostmaster: id === 1,
    forward: null,
    ...rest,
  };
}

const ACCOUNTS = [
  account(1, 'boss@here.test'),
  account(2, 'anna@here.test'),
  account(3, 'off@here.test', { enabled: false }),
  account(4, 'full@here.test', { quotaBytes: 1000, usedBytes: 1000 }),
  account(5, 'near@here.test', { quotaBytes: 1000, usedBytes: 900 }),
  account(6, 'postmaster@own.test'),
];
const ALIASES = new Map<string, readonly string[]>([
  ['team@here.test', ['anna@here.test', 'x@far.test', 'boss@here.test', 'anna@here.test']],
  ['loop@here.test', ['loop2@here.test']],
  ['loop2@here.test', ['loop@here.test']],
  ['broken@here.test', ['nobody@here.test']],
  ['partly@here.test', ['off@here.test', 'anna@here.test']],
  ['tofull@here.test', ['full@here.test', 'anna@here.test']],
  ['abuse@alias.test', ['boss@here.test']],
  ['postmaster@alias.test', ['anna@here.test']],
  ['huge@here.test', Array.from({ length: 1001 }, (_, n) => `n${n}@far.test`)],
]);
const DOMAINS = new Map<string, Domain>(
  [
    { name: 'here.test', forward: null, catchAll: null },
    { name: 'own.test', forward: null, catchAll: null },
    { name: 'alias.test', forward: null, catchAll: null },
    { name: 'catch.test', forward: null, catchAll: 'anna@here.test' },
    { name: 'catchfar.test', forward: null, catchAll: 'all@far.test' },
    { name: 'host.test', forward: { host: 'inner.test', port: 26 }, catchAll: null },
    { name: 'addr.test', forward: { address: 'anna@here.test' }, catchAll: null },
  ].map((domain) => [domain.name, domain]),
);

interface World {
  accounts?: readonly Account[];
  broken?: boolean;
  host?: 'known' | 'unknown' | 'unreachable';
}

function world(options: World = {}): DecisionDependencies & { asked: string[] } {
  const accounts = options.accounts ?? ACCOUNTS;
  const store = {
    directoryVersion: () => 1,
    domain: async (name: string) => {
      if (options.broken) throw new Error('disk on fire');
      return DOMAINS.get(name) ?? null;
    },
    entry: async (address: string): Promise<AddressEntry> => {
      const key = address.toLowerCase();
      const found = accounts.find((one) => one.address === key);
      if (found) return { type: 'account', account: found };
      const targets = ALIASES.get(key);
      return targets === undefined ? null : { type: 'alias', alias: { address: key, targets } };
    },
    postmaster: async () => accounts.find((one) => one.isPostmaster) ?? null,
  } as unknown as DirectoryStore;
  const asked: string[] = [];
  return {
    asked,
    directory: new Directory(store),
    noticeRate: new NoticeRate(() => 0),
    askForwardHost: async (_host, _port, recipient) => {
      asked.push(recipient);
      return options.host ?? 'known';
    },
    srs: new Srs(Buffer.alloc(32, 7)),
    isOwnLiteral: (domain) => domain === '[127.0.0.1]',
  };
}

function settings(values: Record<string, string> = {}) {
  return buildSettings(new Map(Object.entries(values)));
}

const NOTICE = { 'smtp.unknownUserNotice': 'notice' };
const ON_ON = { 'smtp.assumeExternal': 'on' };
const OFF = { 'smtp.refuseUnknownUsers': 'off' };

async function ask(
  to: string,
  client: Client,
  values: Record<string, string> = {},
  rest: Partial<DecisionRequest> & { deps?: DecisionDependencies; from?: string } = {},
): Promise<Decision> {
  const recipient =
    to === 'postmaster'
      ? { text: 'postmaster', localPart: 'postmaster', domain: '', utf8: false }
      : parsed(to);
  const { deps = world(), from = 's@far.test', ...request } = rest;
  return decide(deps, {
    recipient,
    client,
    sender: from === '' ? null : parsed(from),
    declaredSizeBytes: 0,
    settings: settings(values),
    purpose: 'rcpt',
    ...request,
  });
}

function parsed(text: string) {
  const address = parseAddress(text);
  assert.ok(address.ok, text);
  return address.value;
}

/** Reply, rule and where it goes, in one line: `250 account -> #2`. */
function summary(decision: Decision): string {
  const goals = decision.recipients.map(({ to, address }) =>
    to.type === 'local'
      ? `#${to.delivery.accountId}`
      : `${address}${decision.target?.type === 'forward' ? '@host' : ''}`,
  );
  const { code, enhanced } = decision.reply;
  return `${code} ${enhanced} ${decision.rule}${goals.length > 0 ? ` -> ${goals.join(' ')}` : ''}`;
}

describe('the decision for one recipient', () => {
  const rows: [string, Client, Record<string, string>, string][] = [
    ['postmaster', EXTERNAL, {}, '250 2.1.5 postmaster -> #1'],
    ['Postmaster@here.test', EXTERNAL, {}, '250 2.1.5 postmaster -> #1'],
    ['postmaster@own.test', EXTERNAL, {}, '250 2.1.5 postmaster -> #6'],
    ['postmaster@alias.test', EXTERNAL, {}, '250 2.1.5 postmaster -> #2'],
    ['postmaster@host.test', EXTERNAL, {}, '250 2.1.5 postmaster -> #1'],
    ['postmaster@here.test', EXTERNAL, ON_ON, '250 2.1.5 postmaster -> #1'],
    ['postmaster@[127.0.0.1]', EXTERNAL, {}, '250 2.1.5 postmaster -> #1'],
    ['anna@[127.0.0.1]', LOCAL, {}, '550 5.1.1 unknown-user'],
    ['postmaster@far.test', EXTERNAL, {}, '550 5.7.1 relaying-denied'],
    ['x@far.test', EXTERNAL, {}, '550 5.7.1 relaying-denied'],
    ['x@far.test', LOCAL, {}, '250 2.1.5 not-hosted -> x@far.test'],
    ['x%far.test@here.test', EXTERNAL, {}, '550 5.1.1 unknown-user'],
    ['x%far.test@here.test', EXTERNAL, ON_ON, '550 5.7.1 relaying-denied'],
    ['far.test!x@host.test', EXTERNAL, {}, '550 5.7.1 relaying-denied'],
    ['any@host.test', EXTERNAL, {}, '250 2.1.5 forward -> any@host.test@host'],
    ['any@addr.test', EXTERNAL, {}, '250 2.1.5 forward -> #2'],
    ['anna@here.test', EXTERNAL, {}, '250 2.1.5 account -> #2'],
    ['ANNA@here.test', EXTERNAL, {}, '250 2.1.5 account -> #2'],
    ['off@here.test', EXTERNAL, {}, '550 5.2.1 account-disabled'],
    ['full@here.test', EXTERNAL, {}, '452 4.2.2 over-quota'],
    ['team@here.test', EXTERNAL, {}, '250 2.1.5 alias -> #2 x@far.test #1'],
    ['anna+tag@here.test', EXTERNAL, {}, '250 2.1.5 subaddress -> #2'],
    ['any@catch.test', EXTERNAL, {}, '250 2.1.5 catch-all -> #2'],
    ['any@catchfar.test', EXTERNAL, {}, '250 2.1.5 catch-all -> all@far.test'],
    ['loop@here.test', EXTERNAL, {}, '550 5.1.1 unknown-user'],
    ['broken@here.test', EXTERNAL, {}, '250 2.1.5 alias -> #1'],
    ['partly@here.test', EXTERNAL, {}, '250 2.1.5 alias -> #2'],
    ['tofull@here.test', EXTERNAL, {}, '452 4.2.2 over-quota'],
    ['huge@here.test', EXTERNAL, {}, '550 5.2.4 alias-too-large'],
    ['nobody@here.test', LOCAL, {}, '550 5.1.1 unknown-user'],
    ['nobody@here.test', EXTERNAL, {}, '550 5.1.1 unknown-user'],
    ['nobody@here.test', LOCAL, NOTICE, '550 5.1.1 unknown-user'],
    ['nobody@here.test', EXTERNAL, NOTICE, '250 2.1.5 unknown-notice -> nobody@here.test'],
    ['nobody@here.test', LOCAL, ON_ON, '250 2.1.5 assumed-external -> nobody@here.test'],
    ['nobody@here.test', EXTERNAL, ON_ON, '250 2.1.5 assumed-external -> nobody@here.test'],
    ['nobody@here.test', LOCAL, OFF, '250 2.1.5 unknown-to-postmaster -> #1'],
    ['nobody@own.test', EXTERNAL, { ...OFF, ...ON_ON }, '250 2.1.5 unknown-to-postmaster -> #6'],
  ];
  for (const [to, client, values, expected] of rows) {
    it(`${client.kind} to ${to} with ${JSON.stringify(values)}: ${expected}`, async () => {
      assert.equal(summary(await ask(to, client, values)), expected);
    });
  }

  it('answers 451 4.3.0 when the directory cannot be read', async () => {
    const decision = await ask('anna@here.test', EXTERNAL, {}, { deps: world({ broken: true }) });
    assert.equal(summary(decision), '451 4.3.0 directory-unavailable');
    assert.doesNotMatch(decision.reply.lines.join(' '), /fire/);
  });

  it('has no postmaster before the first account: 451 4.3.0', async () => {
    for (const to of ['postmaster', 'postmaster@here.test']) {
      const decision = await ask(to, EXTERNAL, {}, { deps: world({ accounts: [] }) });
      assert.equal(summary(decision), '451 4.3.0 postmaster');
    }
  });

  it('counts a declared size against the quota', async () => {
    assert.match(summary(await ask('near@here.test', EXTERNAL, {}, { declaredSizeBytes: 100 })), /^250/);
    assert.match(
      summary(await ask('near@here.test', EXTERNAL, {}, { declaredSizeBytes: 101 })),
      /^452 4\.2\.2/,
    );
  });

  it('names the address in the refusal and says that the message was not delivered', async () => {
    const { reply } = await ask('nobody@here.test', EXTERNAL);
    assert.match(reply.lines.join(' '), /<nobody@here\.test>.*not delivered/);
  });

  it('keeps the original recipient in X-Original-To where it differs', async () => {
    const header = async (to: string, values = {}) => {
      const to0 = (await ask(to, EXTERNAL, values)).recipients[0]?.to;
      return to0?.type === 'local' ? to0.delivery.header : null;
    };
    assert.equal(
      await header('anna@here.test'),
      'Return-Path: <s@far.test>\r\nDelivered-To: anna@here.test\r\n',
    );
    assert.equal(
      await header('nobody@here.test', OFF),
      'Return-Path: <s@far.test>\r\nDelivered-To: boss@here.test\r\nX-Original-To: nobody@here.test\r\n',
    );
  });
});

describe('a forward host', () => {
  it('that does not know the recipient: 550 5.1.1; known or out of reach: accepted', async () => {
    for (const [host, expected] of [
      ['unknown', '550 5.1.1 unknown-user'],
      ['known', '250 2.1.5 forward -> u@host.test@host'],
      ['unreachable', '250 2.1.5 forward -> u@host.test@host'],
    ] as const) {
      const deps = world({ host });
      assert.equal(summary(await ask('u@host.test', EXTERNAL, {}, { deps })), expected);
      assert.deepEqual(deps.asked, ['u@host.test']);
    }
  });

  it('is not asked with refuse off, by explain, or for a queued recipient', async () => {
    for (const [values, purpose] of [
      [OFF, 'rcpt'],
      [{}, 'explain'],
      [{}, 'queue'],
    ] as const) {
      const deps = world({ host: 'unknown' });
      assert.match(summary(await ask('u@host.test', EXTERNAL, values, { deps, purpose })), /^250/);
      assert.deepEqual(deps.asked, []);
    }
  });
});

describe('notice mode is settled at RCPT', () => {
  it('refuses the null sender and a sender in a hosted domain', async () => {
    assert.match(summary(await ask('nobody@here.test', EXTERNAL, NOTICE, { from: '' })), /^550 5\.1\.1/);
    assert.match(
      summary(await ask('nobody@here.test', EXTERNAL, NOTICE, { from: 'x@own.test' })),
      /^550 5\.1\.1/,
    );
  });

  it('one an hour for a sender, ten a minute for a network; explain does not count', async () => {
    const deps = world();
    const from = (n: number) => ask('nobody@here.test', EXTERNAL, NOTICE, { deps, from: `s${n}@far.test` });
    await ask('nobody@here.test', EXTERNAL, NOTICE, { deps, from: 's0@far.test', purpose: 'explain' });
    assert.equal((await from(0)).decision, 'notice');
    assert.equal((await from(0)).decision, 'refused');
    for (let n = 1; n < 10; n += 1) assert.equal((await from(n)).decision, 'notice', `${n}`);
    assert.equal((await from(10)).decision, 'refused');
    const elsewhere: Client = { kind: 'external', address: '198.51.101.7', user: null };
    assert.equal(
      (await ask('nobody@here.test', elsewhere, NOTICE, { deps, from: 's11@far.test' })).decision,
      'notice',
    );
  });
});

describe('a queued recipient decided again', () => {
  const recipient = (address: string, rule = 'x'): QueuedRecipient => ({
    index: 0,
    crashes: 0,
    dsn: NO_RECIPIENT_DSN,
    address,
    original: 'first@here.test',
    rule,
    state: 'sending',
    destination: null,
    via: null,
    attempts: 1,
    nextAttemptAt: null,
    lastReply: null,
    lastKind: null,
    delayNoticeSent: false,
  });
  const source = {
    kind: 'external',
    address: '198.51.100.7',
    helo: null,
    user: null,
    protocol: null,
  } as const;
  const again = (address: string, values = {}, rule?: string) =>
    createRedecide(world(), () => settings(values))(recipient(address, rule), source, 's@far.test');

  it('is never denied relaying', async () => {
    const result = await again('x@far.test', { 'smtp.rewriteForwardedSender': 'off' });
    assert.deepEqual(result, {
      type: 'send',
      target: { type: 'external', domain: 'far.test' },
      assumedExternal: false,
    });
  });

  it('leaves with a sender of ours when an address here handed it on, and from elsewhere only', async () => {
    const redecide = createRedecide(world(), () => settings());
    const senderOf = async (one: QueuedRecipient, sender: string) => {
      const result = await redecide(one, source, sender);
      return result.type === 'send' ? (result.sender ?? 'its own') : result.type;
    };
    const forwarded = recipient('x@far.test');
    assert.match(await senderOf(forwarded, 's@far.test'), /^SRS0=\w{6}=\w\w=far\.test=s@here\.test$/);
    assert.equal(await senderOf(forwarded, ''), 'its own');
    assert.equal(await senderOf(forwarded, 'boss@here.test'), 'its own');
    assert.equal(await senderOf({ ...forwarded, original: 'X@far.test' }, 's@far.test'), 'its own');
    assert.equal(await senderOf({ ...forwarded, original: 'y@far.test' }, 's@far.test'), 'its own');
    assert.equal(await senderOf({ ...forwarded, address: 'u@host.test' }, 's@far.test'), 'its own');
  });

  it('a user who exists now gets the mail, with the original recipient kept', async () => {
    const result = await again('anna@here.test');
    assert.ok(result.type === 'expanded');
    assert.equal(result.into[0]?.original, 'first@here.test');
  });

  it('one who is gone now fails with 5.1.1', async () => {
    const result = await again('nobody@here.test', NOTICE);
    assert.ok(result.type === 'failed');
    assert.equal(result.failure.enhanced, '5.1.1');
  });

  it('an assumed one goes out, and fails with 5.4.6 once its message came back', async () => {
    const outward = await again('nobody@here.test', ON_ON);
    assert.ok(outward.type === 'send' && outward.assumedExternal);
    const looped = await again('nobody@here.test', ON_ON, LOOP_RULE);
    assert.ok(looped.type === 'failed');
    assert.equal(looped.failure.enhanced, '5.4.6');
  });

  it('to a full mailbox waits', async () => {
    assert.equal((await again('full@here.test')).type, 'deferred');
  });
});

describe("an account's own forward", () => {
  const forwards = (address: string, targets: readonly string[], keep: boolean, id = 10) =>
    account(id, address, { forward: { targets, keep } });
  const asked = async (
    accounts: readonly Account[],
    recipient = 'f@here.test',
    settings: Record<string, string> = {},
  ) => {
    const deps = world({ accounts: [...ACCOUNTS, ...accounts] });
    const parsed = parseAddress(recipient);
    assert.ok(parsed.ok);
    const decision = await decide(deps, {
      recipient: parsed.value,
      client: EXTERNAL,
      sender: null,
      declaredSizeBytes: 0,
      settings: buildSettings(new Map(Object.entries(settings))),
      purpose: 'rcpt',
    });
    const leads = decision.recipients.map(({ address, rule, to }) =>
      [to.type === 'local' ? `#${to.delivery.accountId}` : address, rule].join(' '),
    );
    return {
      code: decision.reply.code,
      decision: decision.decision,
      rule: decision.rule,
      leads,
      decided: decision,
    };
  };
  const RULE = 'account-forward:f@here.test';

  it('goes outward for a stranger too, with or without a copy, and names the account', async () => {
    const kept = await asked([forwards('f@here.test', ['x@far.test'], true)]);
    assert.deepEqual(
      [kept.code, kept.decision, kept.rule, kept.leads],
      [250, 'local', 'account-forward', ['#10 account', `x@far.test ${RULE}`]],
    );
    assert.ok(kept.decided.steps.some(({ text }) => /f@here.test forwards to x@far.test/.test(text)));
    const gone = await asked([forwards('f@here.test', ['x@far.test'], false)]);
    assert.deepEqual([gone.decision, gone.leads], ['external', [`x@far.test ${RULE}`]]);
  });

  it('leads to mailboxes and through aliases here, and counts for tags', async () => {
    const { leads } = await asked([forwards('f@here.test', ['team@here.test'], false)], 'f+tag@here.test');
    assert.deepEqual([...leads].sort(), [`#1 ${RULE}`, `#2 ${RULE}`, `x@far.test ${RULE}`]);
  });

  it('stays in the mailbox where it cannot go: outside turned off, nobody there, disabled, in a circle', async () => {
    const off = await asked([forwards('f@here.test', ['x@far.test'], false)], 'f@here.test', {
      'account.externalForwards': 'off',
    });
    assert.deepEqual([off.code, off.leads], [250, ['#10 account']]);
    for (const target of ['nobody@here.test', 'off@here.test', 'full@here.test', 'f@here.test']) {
      const { code, leads } = await asked([forwards('f@here.test', [target], false)]);
      assert.deepEqual([target, code, leads], [target, 250, ['#10 account']]);
    }
    const circle = await asked([
      forwards('f@here.test', ['g@here.test'], false),
      forwards('g@here.test', ['f@here.test'], false, 11),
    ]);
    assert.deepEqual([circle.code, circle.leads], [250, [`#11 ${RULE}`]]);
  });

  it('needs no room in a mailbox that gets no copy, and a disabled account forwards nothing', async () => {
    const full = { quotaBytes: 10, usedBytes: 10 };
    const spared = await asked([{ ...forwards('f@here.test', ['x@far.test'], false), ...full }]);
    assert.equal(spared.code, 250);
    const kept = await asked([{ ...forwards('f@here.test', ['x@far.test'], true), ...full }]);
    assert.equal(kept.code, 452);
    const disabled = await asked([{ ...forwards('f@here.test', ['x@far.test'], false), enabled: false }]);
    assert.equal(disabled.code, 550);
  });
});
