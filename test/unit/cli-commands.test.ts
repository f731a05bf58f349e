import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { formatMessageId } from '../../src/mail/message-id.ts';
import { cli, cliOnTerminal, openWorld, putMessage, type World } from './admin-support.ts';

async function hosted(t: TestContext): Promise<World> {
  const world = await openWorld(t);
  await ok(world, ['domain', 'add', 'example.com']);
  return world;
}

async function ok(world: World, words: readonly string[], stdin?: string): Promise<string> {
  const { code, out, err } = await cli(world, words, stdin);
  assert.equal(code, 0, err);
  return out;
}

async function json<T>(world: World, ...words: string[]): Promise<T> {
  return JSON.parse(await ok(world, [...words, '--json'])) as T;
}

async function fails(world: World, code: 1 | 2, words: readonly string[], text: RegExp, stdin?: string) {
  const result = await cli(world, words, stdin);
  assert.equal(result.code, code, `${words.join(' ')}: ${result.err}`);
  assert.match(result.err, text);
  assert.equal(result.out, '', 'errors are on standard error');
}

test('wrong usage is exit 2 with one clear error and the way to mend it', async (t) => {
  const world = await openWorld(t);
  for (const [words, text] of [
    [[], /Usage: cmail/],
    [['frobnicate'], /cmail: unknown command 'frobnicate'[\s\S]*See "cmail help"/],
    [['domian', 'list'], /Did you mean domain\?/],
    [['queue'], /Usage: cmail queue/],
    [['queue', 'frob'], /unknown command 'frob'/],
    [['domain', 'add'], /missing required argument 'name'/],
    [['domain', 'add', 'a.example', 'b.example'], /too many arguments/],
    [['domain', 'forward', 'example.com'], /required option '--to/],
    [['status', '--verbose'], /unknown option '--verbose'/],
    [['status', '--data'], /argument missing/],
    [['settings', 'set', 'smtp.hopLimit'], /smtp\.hopLimit has no value/],
    [['settings', 'set', 'smtp.host.password'], /--stdin/],
    [['settings', 'set', 'smtp.hopLimit', '5', 'smtp.outboundPort'], /smtp\.outboundPort has no value/],
    [['settings', 'set', 'a', 'b', '--stdin'], /one key and no value/],
    [['settings', 'history', '--limit', '0'], /number from 1 on/],
    [['settings', 'revert', 'x'], /number from 1 on/],
    [['queue', 'retry'], /no message was named/],
    [['queue', 'retry', 'ABC', '--all'], /cannot be given together/],
    [['queue', 'list', '--limit', '10001'], /above 10000/],
    [['explain', 'a@example.net', '--with', 'nonsense'], /not KEY=VALUE/],
    [['explain', 'a@example.net', '--client', 'here'], /not an IP address/],
    [['account', 'add', 'a@example.com'], /--password-stdin/],
  ] as const) {
    await fails(world, 2, words, text);
  }
});

test('help and version are exit 0 on standard output', async (t) => {
  const world = await openWorld(t);
  assert.match(await ok(world, ['--help']), /settings[\s\S]*explain/);
  assert.match(await ok(world, ['help', 'queue']), /Usage: cmail queue/);
  assert.match(await ok(world, ['--version']), /^\d+\.\d+\.\d+\n$/);
});

test('--data and --config are taken before and after the command', async (t) => {
  const world = await openWorld(t);
  const after = await cli(world, ['domain', 'list', '--data', 'x', '--config', 'y']);
  assert.deepEqual(after.asked, { data: 'x', config: 'y', writes: false });
  const before = await cli(world, ['--data', 'x', 'domain', 'add', 'example.com']);
  assert.deepEqual(before.asked, { data: 'x', config: undefined, writes: true });
});

test('domains, accounts and aliases from the command line', async (t) => {
  const world = await hosted(t);
  assert.equal(
    await ok(world, ['domain', 'list']),
    'DOMAIN       FORWARD  CATCH-ALL\nexample.com  -        -\n',
  );
  assert.match(
    await ok(
      world,
      ['account', 'add', 'a@example.com', '--password-stdin', '--quota', '1GB'],
      'long enough\r\nmore',
    ),
    /postmaster/,
  );
  const account = await world.storage.account('a@example.com');
  assert.equal(await world.storage.passwordHash(account!.id), 'hash of long enough');
  await fails(
    world,
    1,
    ['account', 'add', 'b@example.com', '--password-stdin'],
    /fewer than 8[\s\S]*at least 8/,
    'short\n',
  );
  await fails(
    world,
    1,
    ['account', 'add', 'b@example.net', '--password-stdin'],
    /cmail domain add example\.net/,
    'long enough\n',
  );
  await fails(
    world,
    2,
    ['account', 'add', 'b@example.com', '--password-stdin'],
    /too long/,
    'x'.repeat(70_000),
  );
  const rows = await json<Record<string, unknown>[]>(world, 'account', 'list');
  assert.deepEqual(
    [rows[0]?.address, rows[0]?.quotaBytes, rows[0]?.enabled],
    ['a@example.com', 1024 ** 3, true],
  );
  assert.match(
    await ok(world, ['account', 'list', '--domain', 'example.com']),
    /a@example\.com +enabled +0 B +1\.0 GB +\d{4}-/,
  );
  const alias = await cli(world, ['alias', 'add', 'info@example.com', 'a@example.com', 'gone@example.com']);
  assert.equal(alias.code, 0);
  assert.match(alias.err, /warning: there is no gone@example\.com/);
  assert.deepEqual(await json(world, 'alias', 'list'), [
    { address: 'info@example.com', targets: ['a@example.com', 'gone@example.com'] },
  ]);
  assert.match(
    await ok(world, ['domain', 'forward', 'example.com', '--to', '[2001:db8::1]:26']),
    /\[2001:db8::1\]:26/,
  );
  assert.match(await ok(world, ['domain', 'forward', 'example.com', '--to', 'none']), /not forwarded/);
  assert.match(
    await ok(world, ['domain', 'catch-all', 'example.com', 'a@example.com']),
    /go to a@example\.com/,
  );
  await ok(world, ['account', 'disable', 'a@example.com']);
  await ok(world, ['account', 'enable', 'a@example.com']);
  await ok(world, ['account', 'password', 'a@example.com', '--password-stdin'], 'even longer\n');
  await ok(world, ['alias', 'remove', 'info@example.com']);
  assert.equal(await ok(world, ['alias', 'list']), 'No aliases.\n');
  assert.deepEqual(await json(world, 'alias', 'list'), []);
});

test('a password is asked for twice on a terminal, without echo', async (t) => {
  const world = await hosted(t);
  const words = ['account', 'add', 'a@example.com'];
  const good = await cliOnTerminal(world, words, ['long enöü\x7fugh\r', 'long enöugh\n']);
  assert.equal(good.code, 0, good.err);
  assert.doesNotMatch(good.out + good.err, /long/);
  const account = await world.storage.account('a@example.com');
  assert.equal(await world.storage.passwordHash(account!.id), 'hash of long enöugh');
  const other = await cliOnTerminal(world, words, ['long enough\r', 'long enouhg\r']);
  assert.match(other.err, /differ/);
  assert.equal(other.code, 2);
  assert.match((await cliOnTerminal(world, words, ['\x03'])).err, /cancelled/);
});

test('settings are read and changed, all together', async (t) => {
  const world = await openWorld(t);
  const list = await json<
    { key: string; value: unknown; default: unknown; unit: string; label: string; help: string }[]
  >(world, 'settings', 'list');
  const size = list.find(({ key }) => key === 'smtp.maxIncomingSize');
  assert.deepEqual(
    [size?.value, size?.default, size?.unit, size?.label],
    ['50MB', '50MB', 'bytes', 'Max incoming size'],
  );
  assert.ok(list.some(({ key }) => key === 'smtp.timeout.dataBlock'));
  await fails(
    world,
    1,
    ['settings', 'set', 'smtp.useMxResolution', 'off'],
    /none is entered[\s\S]*Nothing was changed/,
  );
  assert.equal(
    await ok(world, [
      'settings',
      'set',
      'smtp.useMxResolution',
      'off',
      'smtp.host.name',
      'relay.example.net',
    ]),
    'smtp.useMxResolution: on -> off\nsmtp.host.name: "" -> relay.example.net\n',
  );
  assert.equal(await ok(world, ['settings', 'get', 'smtp.useMxResolution']), 'off\n');
  assert.equal(
    (await json<{ value: boolean }>(world, 'settings', 'get', 'smtp.useMxResolution')).value,
    false,
  );
  await fails(world, 1, ['settings', 'get', 'smtp.useMx'], /Did you mean smtp\.useMxResolution/);
  await fails(
    world,
    1,
    ['settings', 'set', 'smtp.hopLimit', '-5'],
    /smtp\.hopLimit = -5: below the smallest value 1/,
  );
  assert.match(await ok(world, ['settings', 'set', 'smtp.hopLimit', '100']), /^Nothing changes/);
  const warned = await cli(world, [
    'settings',
    'set',
    'smtp.refuseUnknownUsers',
    'off',
    'smtp.assumeExternal',
    'on',
  ]);
  assert.match(warned.err, /warning: smtp\.assumeExternal is without effect/);
  assert.match(await ok(world, ['settings', 'set', 'smtp.relayNetworks', '']), /-> ""$/m);
  assert.match(await ok(world, ['settings', 'list']), /^smtp\.relayNetworks +"" /m);
});

test('a secret comes on standard input and is never shown', async (t) => {
  const world = await openWorld(t);
  const host = ['settings', 'set', 'smtp.host.name', 'relay.example.net'];
  await ok(world, host);
  assert.equal(
    await ok(world, ['settings', 'set', 'smtp.host.password', '--stdin'], 'hunter22\n'),
    'smtp.host.password: (not set) -> (set)\n',
  );
  assert.equal(world.context.settings.current().smtpHost?.password, 'hunter22');
  assert.equal(await ok(world, ['settings', 'get', 'smtp.host.password']), '(set)\n');
  const all = [
    await ok(world, ['settings', 'list', '--json']),
    await ok(world, ['settings', 'export']),
    await ok(world, ['settings', 'history', '--json']),
  ].join();
  assert.doesNotMatch(all, /hunter22/);
  const typed = await cliOnTerminal(
    world,
    ['settings', 'set', 'smtp.host.password', '--stdin'],
    ['hunter23\r'],
  );
  assert.equal(typed.code, 0, typed.err);
  assert.equal(world.context.settings.current().smtpHost?.password, 'hunter23');
});

test('settings files: export, apply, dry run, a corrupt one, one that is not there', async (t) => {
  const world = await openWorld(t);
  const exported = await ok(world, ['settings', 'export']);
  assert.match(await ok(world, ['settings', 'apply', '-'], exported), /^Nothing changes/);
  const file = join(world.folder, 'some.toml');
  await writeFile(file, 'smtp.hopLimit = 50\n');
  assert.equal(
    await ok(world, ['settings', 'apply', 'some.toml', '--dry-run']),
    'smtp.hopLimit: 100 -> 50 (not changed: --dry-run)\n',
  );
  assert.equal(world.context.settings.current().hopLimit, 100);
  await ok(world, ['settings', 'apply', file]);
  assert.equal(world.context.settings.current().hopLimit, 50);
  await writeFile(file, 'smtp.hopLimit = 60\nsmtp.bufferSize = [\n');
  await fails(world, 1, ['settings', 'apply', file], /cannot be used: line \d: not valid TOML/);
  await fails(world, 1, ['settings', 'apply', 'nowhere.toml'], /nowhere\.toml cannot be read/);
  await writeFile(file, ' '.repeat(600 * 1024));
  await fails(world, 1, ['settings', 'apply', file], /larger than 512 KB/);
  await fails(world, 1, ['settings', 'apply', '-'], /larger than 512 KB/, ' '.repeat(600 * 1024));
  assert.equal(world.context.settings.current().hopLimit, 50);
  const history = await json<{ n: number; key: string; old: string; new: string; author: string }[]>(
    world,
    'settings',
    'history',
  );
  assert.deepEqual([history[0]?.key, history[0]?.old, history[0]?.new], ['smtp.hopLimit', '100', '50']);
  assert.match(await ok(world, ['settings', 'history']), /tester +smtp\.hopLimit +100 +50/);
  assert.equal(await ok(world, ['settings', 'revert', String(history[0]?.n)]), 'smtp.hopLimit: 50 -> 100\n');
});

test('settings: back to a point of the history, and the second of two writers', async (t) => {
  const world = await openWorld(t);
  await ok(world, ['settings', 'set', 'smtp.hopLimit', '50']);
  await ok(world, ['settings', 'set', 'smtp.hopLimit', '60', 'smtp.outboundPort', '2525']);
  await fails(
    world,
    1,
    ['settings', 'set', 'smtp.hopLimit', '70', '--if-version', '1'],
    /nothing was overwritten[\s\S]*2: tester changed smtp\.hopLimit from 50 to 60[\s\S]*--if-version 3/,
  );
  const file = 'smtp.hopLimit = 80\n';
  await fails(world, 1, ['settings', 'apply', '-', '--if-version', '2'], /3: tester changed/, file);
  await ok(world, ['settings', 'apply', '-', '--if-version', '3', '--dry-run'], file);
  assert.equal(
    await ok(world, ['settings', 'revert', '--to', '1', '--dry-run']),
    'smtp.outboundPort: 2525 -> 25 (not changed: --dry-run)\nsmtp.hopLimit: 60 -> 50 (not changed: --dry-run)\n',
  );
  assert.equal(world.context.settings.current().hopLimit, 60);
  await ok(world, ['settings', 'revert', '--to', '1']);
  assert.equal(world.context.settings.current().hopLimit, 50);
  await ok(world, ['settings', 'revert', '--to', '2001-01-01 12:00:00']);
  assert.equal(world.context.settings.current().hopLimit, 100);
  await fails(world, 1, ['settings', 'revert', '--to', '99'], /does not reach entry 99/);
  await fails(world, 2, ['settings', 'revert', '--to', 'monday'], /neither an entry nor a time/);
  await fails(world, 2, ['settings', 'revert', '--to', '2026-13-45'], /neither an entry nor a time/);
  await fails(world, 2, ['settings', 'revert'], /a point to go back to/);
  await fails(world, 2, ['settings', 'revert', '1', '--to', '1'], /a point to go back to/);
  await fails(world, 2, ['settings', 'revert', '1', '--dry-run'], /goes with --to/);
  await fails(world, 2, ['settings', 'set', 'smtp.hopLimit', '1', '--if-version', 'x'], /not a number/);
});

test('the queue: list, limit and after, actions, timeline', async (t) => {
  const world = await openWorld(t);
  const ids = [
    formatMessageId(await putMessage(world, ['a@one.example', 'b@two.example'])),
    formatMessageId(await putMessage(world, ['c@two.example'])),
    formatMessageId(await putMessage(world, ['d@two.example'])),
  ];
  type Row = { id: string; sender: string; size: number; recipients: { address: string; state: string }[] };
  const list = await json<Row[]>(world, 'queue', 'list');
  assert.deepEqual(
    list.map(({ id }) => id),
    ids,
  );
  assert.deepEqual(
    list[0]?.recipients.map(({ address, state }) => [address, state]),
    [
      ['a@one.example', 'queued'],
      ['b@two.example', 'queued'],
    ],
  );
  const limited = await json<Row[]>(world, 'queue', 'list', '--limit', '1', '--after', ids[0]!);
  assert.deepEqual(
    limited.map(({ id }) => id),
    [ids[1]],
  );
  assert.match(
    await ok(world, ['queue', 'list']),
    new RegExp(`^${ids[0]} .* a@one\\.example +queued +0 `, 'm'),
  );
  assert.equal(await ok(world, ['queue', 'hold', '--destination', 'two.example']), '3 recipients held\n');
  assert.equal(await ok(world, ['queue', 'release', ids[1]!]), '1 recipient released\n');
  await ok(world, ['queue', 'retry', '--all']);
  await fails(world, 1, ['queue', 'retry', 'ZZZZZZ'], /no message ZZZZZZ[\s\S]*cmail queue list/);
  assert.equal(await ok(world, ['queue', 'delete', ids[0]!, '--notice']), '2 recipients deleted\n');
  assert.equal(world.notices.length > 0, true);
  type Shown = Row & { events: { kind: string; at: string }[] };
  const shown = await json<Shown>(world, 'message', ids[0]!);
  assert.ok(shown.events.some(({ kind }) => kind === 'deleted'));
  assert.deepEqual(await json<Shown>(world, 'queue', 'show', ids[0]!), shown);
  assert.match(
    await ok(world, ['message', ids[0]!]),
    /^Message .* from <sender@example\.net>[\s\S]*a@one\.example: failed[\s\S]*deleted/,
  );
  await ok(world, ['queue', 'delete', '--all']);
  assert.equal(await ok(world, ['queue', 'list']), 'The queue is empty.\n');
});

test('a mailbox is listed, and a mail printed byte for byte', async (t) => {
  const world = await hosted(t);
  await ok(world, ['account', 'add', 'a@example.com', '--password-stdin'], 'long enough\n');
  const account = await world.storage.account('a@example.com');
  assert.equal(await ok(world, ['mail', 'list', 'a@example.com']), 'The mailbox is empty.\n');
  const content = `Subject: long\r\n\r\n${'0123456789abcdef'.repeat(40_000)}\r\n`;
  await putMessage(world, [account!.id], content);
  const rows = await json<{ uid: number; size: number; sender: string }[]>(
    world,
    'mail',
    'list',
    'a@example.com',
  );
  assert.equal(rows[0]?.sender, 'sender@example.net');
  const stored = `Received: by mail.example.com\r\n${content}`;
  assert.equal(await ok(world, ['mail', 'show', 'a@example.com', String(rows[0]?.uid)]), stored);
  assert.equal(await ok(world, ['mail', 'show', 'a@example.com']), stored);
  const shown = await json<{ content: string; truncated: boolean }>(world, 'mail', 'show', 'a@example.com');
  assert.deepEqual([shown.content, shown.truncated], [stored, false]);
  await fails(world, 1, ['mail', 'list', 'b@example.com'], /no account b@example\.com/);
});

test('explain, status, check and verify, for people and as JSON', async (t) => {
  const world = await openWorld(t);
  const explained = await json<{ route: { via: string } }>(
    world,
    'explain',
    'x@example.net',
    '--client',
    '127.0.0.1',
    '--with',
    'smtp.useMxResolution=off',
    'smtp.host.name=relay.example.net',
  );
  assert.equal(explained.route.via, 'smtp-host');
  assert.match(
    await ok(world, ['explain', 'x@example.net']),
    /^x@example\.net: external \(not-hosted\)\nreply: 250 2\.1\.5 Ok\nroute:\n/,
  );
  assert.match(await ok(world, ['status']), /^running: +yes$/m);
  assert.deepEqual((await json<{ alarms: string[] }>(world, 'status')).alarms, ['made up']);
  assert.match(await ok(world, ['check']), /^warning +directory +there is no hosted domain/m);
  assert.equal(await ok(world, ['verify']), 'The store is sound.\n');
  world.context.storage.verify = async () => ['row 1 is odd'];
  const unsound = await cli(world, ['verify', '--json']);
  assert.equal(unsound.code, 1);
  assert.deepEqual(JSON.parse(unsound.out).findings, ['row 1 is odd']);
});

test('status tells of each node in a line', async (t) => {
  const world = await openWorld(t);
  const node = (name: string, self: boolean, alive: boolean, destinations: number) => ({
    ...{
      id: name,
      name,
      self,
      alive,
      destinations,
      version: '1.2.3',
      listeners: { smtp: ['[::1]:25'], pop3: [] },
    },
    ...{ startedAt: '2026-11-22T20:00:00.000Z', seenAt: '2026-11-22T21:00:00.000Z' },
  });
  let nodes: object[] | null = [node('a.example', true, true, 1)];
  Object.assign(world.context, { status: async () => ({ running: true, nodes }) });
  const seen = 'seen 2026-11-2\\d \\d\\d:00:00, version 1\\.2\\.3';
  const own = `a\\.example \\(this one\\): alive, ${seen}, smtp \\[::1\\]:25; owns 1 destination`;
  assert.match(await ok(world, ['status']), new RegExp(`^nodes: +${own}$`, 'm'));
  nodes.push(node('b.example', false, false, 0));
  const two = new RegExp(
    `^nodes:\n  - ${own}\n  - b\\.example: not heard of, ${seen}, .* owns 0 destinations$`,
    'm',
  );
  assert.match(await ok(world, ['status']), two);
  assert.equal((await json<{ nodes: unknown[] }>(world, 'status')).nodes.length, 2);
  nodes = null;
  assert.match(await ok(world, ['status']), /^nodes: +-$/m);
});

test('what a remote server wrote cannot steer the terminal', async (t) => {
  const world = await openWorld(t);
  await putMessage(world, ['"\x1b[31mred"@one.example']);
  assert.doesNotMatch(await ok(world, ['queue', 'list']), /\x1b/);
});
