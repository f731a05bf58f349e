/**
 * The server ends before and after each sync of mail in, mail out, a setting and a deletion, by a power cut and by a
 * kill: nothing promised is lost. What is armed counts from the beginning of the stage, so every sync of it is met.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type PowerCut, preparePowerCut } from '../support/power-cut.ts';
import { END_LIMIT_MS, startWorld, type World } from '../support/promise-world.ts';
import { BrokenPromise, emptyQueue } from '../support/promises.ts';
import { greeted } from '../support/smtp-client.ts';
import { within } from '../support/within.ts';

/** More syncs than a stage needs; reaching it is a failure. */
const MOST_SYNCS = 30;
/** Longest stage that no end comes into. */
const STAGE_LIMIT_MS = 60_000;

interface Stage {
  readonly name: string;
  prepare(world: World): Promise<void>;
  act(world: World, ended: () => boolean): Promise<void>;
}

async function send({ cmail, promises }: World, ...kinds: readonly ('local' | 'far')[]): Promise<void> {
  const client = await greeted(cmail.listeners.smtp);
  try {
    for (const kind of kinds) await promises.send(client, kind);
  } finally {
    client.destroy();
  }
}

const STAGES: readonly Stage[] = [
  {
    name: 'mail in',
    prepare: async ({ cmail }) => {
      await cmail.run(['queue', 'hold', '--all']);
    },
    act: (world) => send(world, 'local', 'far'),
  },
  {
    name: 'mail out',
    prepare: async (world) => {
      await world.cmail.run(['queue', 'hold', '--all']);
      await send(world, 'far');
    },
    act: ({ cmail }, ended) => emptyQueue(cmail, ended),
  },
  {
    name: 'a setting',
    prepare: async () => undefined,
    act: async ({ cmail, promises }) => {
      await promises.changeSetting();
      // Where no server runs the command works on the store itself, so its success does not tell that one does.
      (await greeted(cmail.listeners.smtp)).destroy();
    },
  },
  {
    name: 'a deletion',
    prepare: (world) => send(world, 'local', 'local'),
    act: ({ promises }) => promises.collect(),
  },
];

/** True when the server ended in the stage; rejects with the reason when it failed while the server went on. */
async function endsIn(stage: Stage, world: World, power: PowerCut, command: string): Promise<boolean> {
  const { cmail } = world;
  let ended = false;
  void cmail.ended.then(() => {
    ended = true;
  });
  await stage.prepare(world);
  power.command(command);
  const armed = `power cut set: ${command}\n`;
  await cmail.waitFor('the cut to be set', async () =>
    cmail.logText().split(ready(cmail)).at(-1)?.includes(armed),
  );
  try {
    await within(
      STAGE_LIMIT_MS,
      stage.name,
      stage.act(world, () => ended),
    );
  } catch (error) {
    if (error instanceof BrokenPromise) throw error;
    const why = `${stage.name} failed, and not because the server ended: ${String(error)}`;
    await within(END_LIMIT_MS, why, cmail.ended);
    return true;
  }
  return ended;
}

/** The last ready line: what was said before it is of an earlier run. */
function ready(cmail: World['cmail']): string {
  return (
    cmail
      .logText()
      .match(/^ready .*$/gm)
      ?.at(-1) ?? ''
  );
}

/** Every sync of a stage in turn; resolves to how many there were. */
async function endAtEachSync(
  stage: Stage,
  side: string,
  world: World,
  power: PowerCut,
  keep: 'none' | 'all',
) {
  const { cmail, promises } = world;
  for (let k = 1; k < MOST_SYNCS; k += 1) {
    await cmail.restart(await power.environment({ dataDir: cmail.dataDir, keep, seed: k }));
    await promises.check();
    if (!(await endsIn(stage, world, power, `${side} ${k}`))) return k - 1;
  }
  throw new Error(`${stage.name} did not come to its end within ${MOST_SYNCS} syncs`);
}

for (const keep of ['none', 'all'] as const) {
  const what = keep === 'all' ? 'killed' : 'power cut';
  test(`${what} before and after every sync of mail in, mail out, a setting and a deletion`, async (t) => {
    const power = await preparePowerCut(t);
    if (power === null) return;
    const world = await startWorld(t);
    const counts: string[] = [];
    for (const stage of STAGES) {
      for (const side of ['before', 'after']) {
        const syncs = await endAtEachSync(stage, side, world, power, keep);
        assert.ok(syncs > 0, `no end ${side} a sync of ${stage.name}`);
        counts.push(`${side} ${stage.name} ${syncs}`);
      }
    }
    await world.cmail.restart();
    await world.promises.check();
    await world.promises.checkAllArrived();
    t.diagnostic(
      `ends: ${counts.join(', ')}; ${world.promises.acceptedCount} messages had their 250, none lost`,
    );
  });
}
