import assert from 'node:assert/strict';
import { it } from 'node:test';
import { DueRound } from '../../src/sending/due-round.ts';

function makeRound(count: number) {
  const names = Array.from({ length: count }, (_, n) => `d${String(n).padStart(4, '0')}.test`);
  const pages: number[] = [];
  const round = new DueRound({
    dueDestinations: async ({ after, limit }) => {
      const page = names.filter((name) => name > after).slice(0, limit);
      pages.push(page.length);
      return page.map((destination) => ({ destination, dueAt: 0 }));
    },
  });
  return { names, pages, round };
}

async function all(round: DueRound): Promise<string[]> {
  const names: string[] = [];
  for await (const page of round.pages()) names.push(...page);
  return names;
}

it('goes once round, from behind the one that had its turn last, a page at a time', async () => {
  const { names, pages, round } = makeRound(450);
  assert.deepEqual(await all(round), names);
  round.passed(names[299] as string);
  const turned = [...names.slice(300), ...names.slice(0, 300)];
  assert.deepEqual(await all(round), turned);
  assert.ok(Math.max(...pages) <= 200, pages.join(' '));
});

it('reads no further than it is asked to', async () => {
  const { pages, round } = makeRound(5000);
  for await (const page of round.pages()) if (page.includes('d0003.test')) break;
  assert.deepEqual(pages, [200]);
});

it('ends where nothing is due, and where all that is due stands before', async () => {
  assert.deepEqual(await all(makeRound(0).round), []);
  const { names, round } = makeRound(3);
  round.passed('z.test');
  assert.deepEqual(await all(round), names);
});
