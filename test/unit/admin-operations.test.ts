import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { checkRelayNetworks, parseDefaultGateways } from '../../src/admin/check.ts';
import type { CheckFinding } from '../../src/admin/context.ts';
import { operationFailure, pageOf } from '../../src/admin/operation.ts';
import { runOperation } from '../../src/admin/operations.ts';
import { PasswordBusyError } from '../../src/directory/password.ts';
import { formatMessageId } from '../../src/mail/message-id.ts';
import { StorageError } from '../../src/storage/contract.ts';
import { openWorld, putMessage, type World } from './admin-support.ts';

async function hosted(t: TestContext): Promise<World> {
  const world = await openWorld(t);
  await run(world, 'domain.add', { name: 'Example.COM.' });
  return world;
}

async function run<T = Record<string, unknown>>(world: World, op: string, args: unknown = {}): Promise<T> {
  return (await runOperation(world.context, op, args)) as T;
}

function addAccount(world: World, address: string, password = 'long enough') {
  return run(world, 'account.add', { address, password });
}

function refused(world: World, op: string, args: unknown, words: RegExp) {
  return assert.rejects(run(world, op, args), (error: Error) => {
    assert.equal(error.name, 'OperationError');
    assert.match(error.message, words);
    return true;
  });
}

test('a domain is added in canonical form, forwarded, given a catch-all, removed', async (t) => {
  const world = await hosted(t);
  await refused(world, 'domain.add', { name: 'example.com' }, /hosted already/);
  await refused(world, 'domain.add', { name: 'not a domain' }, /not a domain name/);
  await refused(world, 'domain.add', { name: 'a@example.com' }, /not a domain name/);
  await run(world, 'domain.forward', { name: 'example.com', to: 'Other.example.net:2525' });
  await run(world, 'domain.catchAll', { name: 'example.com', address: 'all@example.com' });
  assert.deepEqual(await run(world, 'domain.list'), {
    rows: [
      {
        name: 'example.com',
        forward: { host: 'other.example.net', port: 2525 },
        catchAll: 'all@example.com',
      },
    ],
    next: null,
  });
  await run(world, 'domain.catchAll', { name: 'example.com', address: 'none' });
  assert.equal((await world.storage.domain('example.com'))?.catchAll, null);
  await run(world, 'domain.remove', { name: 'example.com' });
  assert.deepEqual(await run(world, 'domain.list'), { rows: [], next: null });
  await refused(world, 'domain.remove', { name: 'example.com' }, /not a hosted domain/);
});

test('the records to publish name our key, unless the next certificate has another one', async (t) => {
  const world = await hosted(t);
  const show = async (changes: Partial<World['context']> = {}) => {
    const context = { ...world.context, ...changes };
    const shown = await runOperation(context, 'dns.show', { domain: 'example.com' });
    return (shown as { records: { name: string; type: string; value: string }[] }).records.filter(
      ({ type, name }) => type === 'TLSA' || name.startsWith('_smtp._tls.'),
    );
  };
  const digest = 'ab'.repeat(32);
  const [report, tlsa] = await show();
  assert.deepEqual(
    [report?.name, report?.type, report?.value],
    ['_smtp._tls.example.com.', 'TXT', '"v=TLSRPTv1; rua=mailto:postmaster@example.com"'],
  );
  assert.deepEqual([tlsa?.name, tlsa?.value], ['_25._tcp.mail.example.com.', `3 1 1 ${digest}`]);
  assert.equal((await show({ certificateKey: async () => ({ sha256: digest, changes: true }) })).length, 1);
  assert.equal((await show({ certificateKey: async () => null })).length, 1);
});

test('a forward is a host with or without port, an address, or none; never this server', async (t) => {
  const world = await hosted(t);
  const forward = async (to: string) =>
    (await run(world, 'domain.forward', { name: 'example.com', to })).forward;
  assert.deepEqual(await forward('192.0.2.1'), { host: '192.0.2.1', port: 25 });
  assert.deepEqual(await forward('[2001:db8::1]:26'), { host: '2001:db8::1', port: 26 });
  assert.deepEqual(await forward('boss@example.net'), { address: 'boss@example.net' });
  assert.equal(await forward('none'), null);
  const refusedForward = (to: string, words: RegExp) =>
    refused(world, 'domain.forward', { name: 'example.com', to }, words);
  await refusedForward('mail.example.com', /is this server/);
  await refusedForward('other.example.net:0', /neither a host/);
  await refusedForward('other.example.net:65536', /neither a host/);
  await refusedForward('two words', /neither a host/);
  await refusedForward('@example.net', /not an address/);
});

test('accounts: added in a hosted domain only, with a password that is hashed', async (t) => {
  const world = await hosted(t);
  await refused(
    world,
    'account.add',
    { address: 'a@example.net', password: 'long enough' },
    /not a hosted domain/,
  );
  await refused(world, 'account.add', { address: 'nobody', password: 'long enough' }, /not an address/);
  await refused(world, 'account.add', { address: 'a@example.com', password: 'seven77' }, /fewer than 8/);
  await refused(
    world,
    'account.add',
    { address: 'a@example.com', password: 'x'.repeat(1025) },
    /longer than 1024/,
  );
  await refused(
    world,
    'account.add',
    { address: 'a@example.com', password: 'long enough', quota: '0' },
    /not a quota/,
  );
  const added = await run(world, 'account.add', {
    address: 'a@example.com',
    password: 'long enough',
    quota: '1GB',
  });
  assert.equal(added.isPostmaster, true);
  assert.equal(added.quotaBytes, 1024 ** 3);
  const account = await world.storage.account('a@example.com');
  assert.equal(await world.storage.passwordHash(account!.id), 'hash of long enough');
  await refused(
    world,
    'account.add',
    { address: 'A@example.com', password: 'long enough' },
    /exists already/,
  );
  assert.ok(world.wakes > 0, 'the mail that waited for the account is tried');
});

test('accounts: password, enabling, quota, postmaster, removal', async (t) => {
  const world = await hosted(t);
  await addAccount(world, 'a@example.com');
  await addAccount(world, 'b@example.com');
  await run(world, 'account.password', { address: 'b@example.com', password: 'another one' });
  const b = await world.storage.account('b@example.com');
  assert.equal(await world.storage.passwordHash(b!.id), 'hash of another one');
  await run(world, 'account.disable', { address: 'b@example.com' });
  assert.equal((await world.storage.account('b@example.com'))?.enabled, false);
  await run(world, 'account.enable', { address: 'b@example.com' });
  assert.equal((await world.storage.account('b@example.com'))?.enabled, true);
  await run(world, 'account.quota', { address: 'b@example.com', quota: '10MB' });
  await run(world, 'account.quota', { address: 'b@example.com', quota: 'none' });
  assert.equal((await world.storage.account('b@example.com'))?.quotaBytes, null);
  await refused(world, 'account.remove', { address: 'a@example.com' }, /postmaster/);
  await run(world, 'account.postmaster', { address: 'b@example.com' });
  await run(world, 'account.remove', { address: 'a@example.com' });
  await refused(world, 'account.remove', { address: 'a@example.com' }, /no account/);
  await refused(world, 'domain.remove', { name: 'example.com' }, /still has accounts/);
  const { rows } = await run<{ rows: { address: string }[] }>(world, 'account.list', {
    domain: 'example.com',
  });
  assert.deepEqual(
    rows.map(({ address }) => address),
    ['b@example.com'],
  );
});

test('an alias has valid targets, never leads back to itself, and unknown targets are told', async (t) => {
  const world = await hosted(t);
  await addAccount(world, 'a@example.com');
  const add = (address: string, ...targets: string[]) => run(world, 'alias.add', { address, targets });
  await refused(world, 'alias.add', { address: 'x@example.com', targets: ['nobody'] }, /not an address/);
  await refused(
    world,
    'alias.add',
    { address: 'x@example.net', targets: ['a@example.com'] },
    /not a hosted domain/,
  );
  await refused(
    world,
    'alias.add',
    { address: 'a@example.com', targets: ['b@example.net'] },
    /as an account/,
  );
  await refused(
    world,
    'alias.add',
    { address: 'x@example.com', targets: ['X@example.com'] },
    /back to itself/,
  );
  await refused(world, 'alias.add', { address: 'x@example.com', targets: [] }, /targets/);
  const sales = await add(
    'sales@example.com',
    'a@example.com',
    'a+tag@example.com',
    'x@example.net',
    'gone@example.com',
  );
  assert.deepEqual(sales.unknown, ['gone@example.com']);
  await add('gone@example.com', 'last@example.com');
  await refused(
    world,
    'alias.add',
    { address: 'last@example.com', targets: ['sales@example.com'] },
    /back to itself through/,
  );
  const { rows } = await run<{ rows: unknown[] }>(world, 'alias.list');
  assert.equal(rows.length, 2);
  await run(world, 'alias.remove', { address: 'sales@example.com' });
  await refused(world, 'alias.remove', { address: 'sales@example.com' }, /no alias/);
});

test('settings are read, set, applied, reverted with the author', async (t) => {
  const world = await openWorld(t);
  await run(world, 'settings.set', { changes: [{ key: 'smtp.hopLimit', value: '50' }] });
  assert.equal(world.context.settings.current().hopLimit, 50);
  assert.equal((await run(world, 'settings.get', { key: 'smtp.hopLimit' })).value, 50);
  await refused(world, 'settings.get', { key: 'hoplimit' }, /no setting/);
  await run(world, 'settings.apply', { text: 'smtp.hopLimit = 60', dryRun: false });
  const [entry] = await run<{ n: number; author: string; at: string; old: string; new: string }[]>(
    world,
    'settings.history',
    { limit: 10 },
  );
  assert.deepEqual([entry?.author, entry?.old, entry?.new], ['tester', '50', '60']);
  assert.match(entry?.at ?? '', /^\d{4}-\d\d-\d\dT/);
  await run(world, 'settings.revert', { n: entry?.n });
  assert.equal(world.context.settings.current().hopLimit, 50);
  await refused(
    world,
    'settings.set',
    { changes: [{ key: 'smtp.host.name', value: 'mail.example.com' }] },
    /this server/,
  );
  assert.match(await run<string>(world, 'settings.export'), /^smtp\.hopLimit = 50$/m);
});

test('the queue is listed in pages and acted on by ID, destination and all', async (t) => {
  const world = await openWorld(t);
  const ids: string[] = [];
  for (const name of ['one', 'two', 'three']) {
    ids.push(formatMessageId(await putMessage(world, [`a@${name}.example`, 'b@shared.example'])));
  }
  type ListPage = {
    rows: { id: string; recipients: { state: string; address: string }[] }[];
    next: string | null;
  };
  const first = await run<ListPage>(world, 'queue.list', { limit: 2 });
  assert.deepEqual([first.rows.map(({ id }) => id), first.next], [ids.slice(0, 2), ids[1]]);
  const rest = await run<ListPage>(world, 'queue.list', { limit: 2, after: first.next });
  assert.deepEqual([rest.rows.map(({ id }) => id), rest.next], [ids.slice(2), null]);

  const act = async (op: string, selector: object) => (await run(world, op, { selector })).recipients;
  assert.equal(await act('queue.hold', { ids: [ids[0]] }), 2);
  assert.equal(await act('queue.hold', { destination: 'Shared.Example.' }), 2, 'those not held yet');
  assert.equal(await act('queue.release', { all: true }), 4);
  world.wakes = 0;
  await act('queue.retry', { ids: [ids[1]?.toLowerCase()] });
  assert.equal(world.wakes, 1);
  const { message } = await run<{ message: { events: { kind: string; by?: string }[] } }>(world, 'message', {
    id: ids[0],
  });
  assert.deepEqual(
    message.events.filter(({ kind }) => kind === 'held' || kind === 'released').map(({ by }) => by),
    Array.from({ length: 4 }, () => world.context.author),
  );
  assert.equal(
    await run(world, 'queue.delete', { selector: { destination: 'two.example' }, notice: false }).then(
      (r) => r.recipients,
    ),
    1,
  );
  await refused(world, 'queue.retry', { selector: { ids: [ids[0], 'ZZZZZZ'] } }, /no message ZZZZZZ/);
  await refused(world, 'queue.retry', { selector: { ids: ['not an id'] } }, /not a queue ID/);
  await refused(world, 'queue.retry', { selector: { all: true, ids: [ids[0]] } }, /./);
});

test('deletion with a notice fails the recipients with an explanation, in claims', async (t) => {
  const world = await openWorld(t);
  const id = await putMessage(world, ['a@one.example', 'b@one.example', 'c@two.example']);
  const done = await run(world, 'queue.delete', { selector: { all: true }, notice: true });
  assert.equal(done.recipients, 3);
  const told = world.notices.flatMap(({ kind, recipients }) =>
    recipients.map(({ address, status }) => [kind, address, status]),
  );
  assert.deepEqual(told.sort(), [
    ['failure', 'a@one.example', '5.0.0'],
    ['failure', 'b@one.example', '5.0.0'],
    ['failure', 'c@two.example', '5.0.0'],
  ]);
  type Timeline = { message: { recipients: { state: string }[]; events: { kind: string; by?: string }[] } };
  const { message } = await run<Timeline>(world, 'message', { id: formatMessageId(id) });
  assert.deepEqual(
    message.recipients.map(({ state }) => state),
    ['failed', 'failed', 'failed'],
  );
  assert.equal(message.events.filter(({ kind }) => kind === 'deleted').length, 3);
});

test('a mailbox is listed and a mail read in parts', async (t) => {
  const world = await hosted(t);
  await addAccount(world, 'a@example.com');
  const account = await world.storage.account('a@example.com');
  await refused(world, 'mail.show', { address: 'a@example.com', uid: null }, /is empty/);
  const content = `Subject: long\r\n\r\n${'0123456789abcdef'.repeat(40_000)}\r\n`;
  await putMessage(world, [account!.id], content);
  await putMessage(world, [account!.id]);
  const page = await run<{ rows: { uid: number; size: number }[]; next: number | null }>(world, 'mail.list', {
    address: 'a@example.com',
    limit: 1,
  });
  assert.equal(page.rows.length, 1);
  assert.equal(page.next, page.rows[0]?.uid);
  let text = '';
  let parts = 0;
  for (let next: number | null = 0; next !== null; parts += 1) {
    const part: { content: string; next: number | null } = await run(world, 'mail.show', {
      address: 'a@example.com',
      uid: page.next,
      fromByte: next,
    });
    text += Buffer.from(part.content, 'base64').toString();
    next = part.next;
  }
  assert.equal(text, `Received: by mail.example.com\r\n${content}`);
  assert.ok(parts > 2, `${parts} parts`);
  await refused(world, 'mail.show', { address: 'a@example.com', uid: 99 }, /no mail 99/);
  await refused(world, 'mail.list', { address: 'b@example.com' }, /no account/);
});

test('explain is asked with checked arguments and the settings as they would be', async (t) => {
  const world = await openWorld(t);
  const changes = [
    { key: 'smtp.useMxResolution', value: 'off' },
    { key: 'smtp.host.name', value: 'relay.example.net' },
  ];
  await run(world, 'explain', {
    address: 'x@example.net',
    client: '::ffff:192.0.2.1',
    from: '<>',
    with: changes,
  });
  const [asked] = world.explained;
  assert.equal(asked?.client, '192.0.2.1');
  assert.equal(asked?.from, '');
  assert.equal(asked?.settings.smtpHost?.name, 'relay.example.net');
  assert.equal(world.context.settings.current().useMxResolution, true, 'nothing is stored');
  await refused(world, 'explain', { address: 'x@example.net', with: changes.slice(0, 1) }, /none is entered/);
  await refused(world, 'explain', { address: 'x@example.net', client: 'here' }, /not an IP address/);
  await refused(
    world,
    'explain',
    { address: 'x@example.net', client: '::1', user: 'a@example.com' },
    /together/,
  );
});

test('status, verify and check answer', async (t) => {
  const world = await hosted(t);
  await run(world, 'domain.add', { name: 'elsewhere.example' });
  assert.deepEqual((await run(world, 'status')).alarms, ['made up']);
  assert.deepEqual(await run(world, 'verify'), { sound: true, findings: [], total: 0 });
  const findings = await run<CheckFinding[]>(world, 'check');
  const texts = findings.map(({ level, topic, text }) => `${level} ${topic}: ${text}`);
  assert.ok(texts.includes('ok dns: the MX of example.com leads to this server'));
  assert.ok(
    texts.some((text) => /^warning dns: elsewhere\.example has no MX: the name does not exist/.test(text)),
  );
  assert.ok(texts.some((text) => /^warning directory: there is no account/.test(text)));
  assert.ok(texts.includes('ok ports: smtp is open'));
});

test('relay networks that hold a gateway are warned of', () => {
  const gateways = [{ address: '172.17.0.1', kind: 'the gateway of docker0' }];
  const [harmless] = checkRelayNetworks(['127.0.0.1/32', '10.0.0.0/8'], gateways);
  assert.equal(harmless?.level, 'ok');
  const [finding] = checkRelayNetworks(['172.16.0.0/12'], gateways);
  assert.match(finding?.text ?? '', /172\.16\.0\.0\/12.*172\.17\.0\.1, the gateway of docker0/);
  const routes =
    'Iface\tDestination\tGateway\tFlags\neth0\t00000000\t010011AC\t0003\neth0\t000011AC\t00000000\t0001\n';
  assert.deepEqual(parseDefaultGateways(routes), ['172.17.0.1']);
});

test('wrong arguments and unknown operations are wrong usage', async (t) => {
  const world = await openWorld(t);
  for (const [op, args] of [
    ['no.such', {}],
    ['domain.add', {}],
    ['domain.add', { name: 'x', more: 1 }],
    ['queue.list', { limit: 10_001 }],
    ['settings.history', { limit: 0 }],
    ['__proto__', {}],
  ] as const) {
    await assert.rejects(run(world, op, args), { name: 'OperationError', exit: 2 });
  }
});

test('whatever is thrown becomes a value', () => {
  assert.deepEqual(operationFailure(new PasswordBusyError()).exit, 1);
  assert.match(
    operationFailure(new StorageError('unavailable', 'disk full')).message,
    /cannot be used now: disk full/,
  );
  assert.equal(operationFailure(new StorageError('limit', 'too many')).message, 'too many');
  assert.match(operationFailure('odd').message, /internal fault: odd/);
});

test('pages hold every row once, in order of name', () => {
  const rows = ['c', 'a', 'b'].map((name) => ({ name }));
  const nameOf = ({ name }: { name: string }) => name;
  assert.deepEqual(pageOf(rows, nameOf, { limit: 2 }), { rows: [{ name: 'a' }, { name: 'b' }], next: 'b' });
  assert.deepEqual(pageOf(rows, nameOf, { limit: 2, after: 'b' }), { rows: [{ name: 'c' }], next: null });
});

test('the history of sign-ins comes in pages, which later sign-ins do not move', async (t) => {
  const world = await openWorld(t);
  const { storage, context } = world;
  await storage.addDomain('example.com');
  const { id } = await storage.addAccount({
    address: 'ann@example.com',
    passwordHash: 'h',
    quotaBytes: null,
  });
  const record = (reason: string) =>
    storage.recordSignIn(id, {
      outcome: 'refused',
      address: '192.0.2.1',
      service: 'pop3',
      appPassword: null,
      tls: null,
      reason,
    });
  for (const reason of ['1', '2', '3', '4', '5']) await record(reason);
  const page = async (after?: string | null) => {
    const { rows, next } = (await runOperation(context, 'account.signIns', {
      address: 'ann@example.com',
      limit: 2,
      ...(after ? { after } : {}),
    })) as { rows: { reason: string }[]; next: string | null };
    return { reasons: rows.map(({ reason }) => reason).join(), next };
  };
  const first = await page();
  assert.equal(first.reasons, '5,4');
  await record('6');
  const second = await page(first.next);
  assert.equal(second.reasons, '3,2');
  assert.deepEqual(await page(second.next), { reasons: '1', next: null });
  await assert.rejects(page('no number'));
});
