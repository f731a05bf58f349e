/**
 * Yes means yes through a power cut: what was not yet synced when the power goes is lost by the disk, and
 * nothing the server had promised is. docs/reliability.md tells how.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startCmail, temporaryFolder } from '../support/cmail.ts';
import { KEPT, type Kept, type PowerCut, preparePowerCut } from '../support/power-cut.ts';
import { END_LIMIT_MS, startWorld, type World } from '../support/promise-world.ts';
import { BrokenPromise, wholeMarker } from '../support/promises.ts';
import { greeted } from '../support/smtp-client.ts';
import { within } from '../support/within.ts';

const ROUNDS = Number(process.env.CMAIL_POWER_ROUNDS ?? '5');
const SESSIONS = 10;
/** More syncs than a start needs; reaching it is a failure. */
const MOST_SYNCS = 60;

/** Mail, settings and deletions at once until the power goes, which is after `after` more 250s and a moment. */
async function loadUntilCut(world: World, power: PowerCut, after: number): Promise<void> {
  const { cmail, promises } = world;
  const cutAt = promises.acceptedCount + after;
  let cutting = false;
  const until = async (act: () => Promise<void>) => {
    try {
      while (!cutting) await act();
    } catch (error) {
      // Once the power is gone every client loses its server; before, nothing may fail.
      if (!cutting || error instanceof BrokenPromise) throw error;
    }
  };
  const session = async () => {
    const client = await greeted(cmail.listeners.smtp);
    let count = 0;
    await until(() => promises.send(client, ++count % 5 === 0 ? 'far' : 'local')).finally(() =>
      client.destroy(),
    );
  };
  const cut = async () => {
    await cmail.waitFor('enough mail', async () => promises.acceptedCount >= cutAt, 60_000);
    await delay(randomInt(0, 60)); // the random moment
    cutting = true;
    power.command('cut');
    await within(END_LIMIT_MS, 'the end of the server', cmail.ended);
  };
  const work = [
    ...Array.from({ length: SESSIONS }, session),
    until(() => promises.changeSetting()),
    until(() => promises.collect()),
  ];
  const results = await Promise.allSettled([cut(), ...work]);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

async function cutRound(world: World, power: PowerCut, keep: Kept, ignoreSync = false): Promise<void> {
  const { cmail, promises } = world;
  const seed = randomInt(1, 1_000_000_000);
  await cmail.restart(await power.environment({ dataDir: cmail.dataDir, keep, seed, ignoreSync }));
  await loadUntilCut(world, power, randomInt(1, 200));
  try {
    await cmail.restart();
    await promises.check();
  } catch (error) {
    throw new BrokenPromise(`keep ${keep}, seed ${seed}: ${String(error)}; ${cmail.logText().slice(-500)}`, {
      cause: error,
    });
  }
}

test(`power cut under load, ${ROUNDS} times: every promise is kept`, async (t) => {
  assert.ok(Number.isInteger(ROUNDS) && ROUNDS > 0, 'CMAIL_POWER_ROUNDS is a number above 0');
  const power = await preparePowerCut(t);
  if (power === null) return;
  const world = await startWorld(t);
  for (let round = 0; round < ROUNDS; round += 1) {
    await cutRound(world, power, KEPT[round % KEPT.length] ?? 'none');
    // Every other time the next start finds a log that the end before it left.
    if (round % 2 === 0) await world.cmail.kill9();
  }
  await world.cmail.restart();
  await world.promises.checkAllArrived();
  t.diagnostic(`${ROUNDS} cuts, ${world.promises.acceptedCount} messages had their 250, none lost`);
});

test('the test can fail: on a disk that does not sync, accepted mail is lost', async (t) => {
  const power = await preparePowerCut(t);
  if (power === null) return;
  const world = await startWorld(t);
  await assert.rejects(cutRound(world, power, 'none', true), (error) => {
    assert.ok(error instanceof BrokenPromise, String(error));
    t.diagnostic(error.message.slice(0, 200));
    return /\d accepted and/.test(error.message);
  });
});

test('power cut before and after every sync of the first start: the next start is sound', async (t) => {
  const power = await preparePowerCut(t);
  if (power === null) return;
  const folder = await temporaryFolder(t);
  let syncs = 0;
  for (const side of ['before', 'after']) {
    for (let k = 1; ; k += 1) {
      assert.ok(k < MOST_SYNCS, 'a start ends');
      const dataDir = join(folder, `${side}-${k}`);
      const keep = KEPT[k % KEPT.length] ?? 'none';
      const env = await power.environment({ dataDir, keep, seed: k, at: `${side} ${k}` });
      const started = await startCmail(t, { dataDir, env }).then(
        (cmail) => cmail,
        () => null,
      );
      if (started !== null) {
        await started.kill9();
        break;
      }
      const again = await startCmail(t, { dataDir });
      await again.run(['verify']);
      await again.kill9();
      syncs += 1;
    }
  }
  assert.ok(syncs > 4, `only ${syncs} cuts`);
  t.diagnostic(`${syncs} cuts`);
});

test('killed between the reply of a peer and its record: sent again, not lost', async (t) => {
  const world = await startWorld(t);
  const { cmail, peer, promises } = world;
  // Stopped first, so that the reply is there and certainly not recorded when the kill comes.
  peer.script({
    beforeTaken: () => process.kill(cmail.pid, 'SIGSTOP'),
    afterTaken: () => process.kill(cmail.pid, 'SIGKILL'),
  });
  const client = await greeted(cmail.listeners.smtp);
  await promises.send(client, 'far');
  await within(END_LIMIT_MS, 'the end of the server', cmail.ended);
  client.destroy();
  assert.equal(peer.messages.length, 1);
  peer.script({});
  await cmail.restart();
  await promises.check();
  await promises.checkAllArrived();
  const markers = peer.messages.map((message) => wholeMarker(message.data));
  assert.deepEqual(markers, ['far-1', 'far-1']);
});
