/** Holding what arrives later for a destination, by the word in its rule. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { runOperation } from '../../src/admin/operations.ts';
import { openWorld, type World } from './admin-support.ts';

interface Case {
  readonly name: string;
  readonly before: string;
  readonly held: string;
  readonly released: string;
  /** Which wider rule still holds it after the release. */
  readonly stillHeldBy?: string;
}

const CASES: readonly Case[] = [
  { name: 'no rule before', before: '', held: 'a.test hold', released: '' },
  {
    name: 'a rule of its own keeps its other words',
    before: 'b.test ipv4,a.test tls=verify',
    held: 'b.test ipv4,a.test tls=verify hold',
    released: 'b.test ipv4,a.test tls=verify',
  },
  {
    name: 'what a wider rule says goes on to hold for it',
    before: '*.test route=smtp-host',
    held: '*.test route=smtp-host,a.test route=smtp-host hold',
    released: '*.test route=smtp-host,a.test route=smtp-host',
  },
  {
    name: 'an exception from a wider rule stays one',
    before: '*.test ipv4,a.test default',
    held: '*.test ipv4,a.test hold',
    released: '*.test ipv4,a.test default',
  },
];

async function world(t: TestContext, rules: string): Promise<World> {
  const made = await openWorld(t);
  const changes = [
    { key: 'smtp.host.name', value: 'relay.provider.example' },
    { key: 'smtp.destinationRules', value: rules },
  ];
  await runOperation(made.context, 'settings.set', { changes });
  return made;
}

async function rulesOf({ context }: World): Promise<string> {
  const { text } = (await runOperation(context, 'settings.get', { key: 'smtp.destinationRules' })) as {
    text: string;
  };
  return text;
}

for (const { name, before, held, released } of CASES) {
  test(`held and released again: ${name}`, async (t) => {
    const made = await world(t, before);
    const selector = { destination: 'A.test.' };
    await runOperation(made.context, 'queue.hold', { selector, stay: true });
    assert.equal(await rulesOf(made), held);
    const again = await runOperation(made.context, 'queue.hold', { selector, stay: true });
    assert.deepEqual([again, await rulesOf(made)], [{ recipients: 0 }, held], 'twice is once');
    const done = await runOperation(made.context, 'queue.release', { selector });
    assert.deepEqual(done, { recipients: 0, lifted: true, stillHeldBy: null });
    assert.equal(await rulesOf(made), released);
  });
}

test('without stay no rule is written; a release that finds a wider rule says so', async (t) => {
  const made = await world(t, '*.test hold');
  const selector = { destination: 'a.test' };
  await runOperation(made.context, 'queue.hold', { selector });
  assert.equal(await rulesOf(made), '*.test hold');
  const done = await runOperation(made.context, 'queue.release', { selector });
  assert.deepEqual(done, { recipients: 0, lifted: false, stillHeldBy: '*.test' });
  const sent = await runOperation(made.context, 'queue.retry', { selector });
  assert.deepEqual(sent, { recipients: 0, stillHeldBy: '*.test' });
});

test('only a destination can be held with what arrives later, and only one that is a domain', async (t) => {
  const { context } = await world(t, '');
  const hold = (selector: object) => runOperation(context, 'queue.hold', { selector, stay: true });
  await assert.rejects(hold({ all: true }), /for one destination/);
  for (const destination of ['no domain', 'a.test tls=none', '*', '*.test', 'a.test,b.test']) {
    await assert.rejects(hold({ destination }), /is not a domain/, destination);
  }
});

test('the hold has its author in the history, and can be reverted there', async (t) => {
  const made = await world(t, '');
  await runOperation(made.context, 'queue.hold', { selector: { destination: 'a.test' }, stay: true });
  const rows = (await runOperation(made.context, 'settings.history', { limit: 1 })) as {
    n: number;
    author: string;
    new: string;
  }[];
  assert.equal(rows[0]?.new, 'a.test hold');
  assert.equal(rows[0]?.author, made.context.author);
  await runOperation(made.context, 'settings.revert', { n: rows[0]?.n ?? 0 });
  assert.equal(await rulesOf(made), '');
});
