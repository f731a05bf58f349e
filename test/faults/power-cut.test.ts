/**
 * Yes means yes through a power cut: what was not yet synced when the power goes is lost by the disk, and
 * nothing the server had promised is. docs/reliability.md tells how.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Cmail, startCmail, temporaryFolder } from '../support/cmail.ts';
import { startDnsServer } from '../support/dns-server.ts';
import { KEPT, type Kept, type PowerCut, preparePowerCut } from '../support/power-cut.ts';
import { BrokenPromise, emptyQueue, Promises, USER, wholeMarker } from '../support/promises.ts';
import { greeted, type SmtpClient } from '../support/smtp-client.ts';
import { type SmtpPeer, startSmtpPeer } from '../support/smtp-peer.ts';

const ROUNDS = Number(process.env.CMAIL_POWER_ROUNDS ?? '5');
const SESSIONS = 10;
/** More syncs than a start or a journey needs; reaching it is a failure. */
const MOST_SYNCS = 60;
/** Longest journey without a cut, and longest wait for the end of a server whose client lost it. */
const JOURNEY_LIMIT_MS = 60_000;
const END_LIMIT_MS = 10_000;
const STAGES = ['mail in', 'mail out', 'setting', 'deletion'] as const;
type Stage = (typeof STAGES)[number];

interface World {
  readonly cmail: Cmail;
  readonly peer: SmtpPeer;
  readonly promises: Promises;
}

async function startWorld(t: TestContext): Promise<World> {
  const peer = await startSmtpPeer({}, { address: '127.0.0.7' });
  t.after(() => peer.close());
  const zones = { 'far.example': ['MX 10 mx.example'], 'mx.example': [`A ${peer.address}`] };
  const dns = await startDnsServer(zones);
  t.after(() => dns.close());
  const cmail = await startCmail(t, {
    config: { dns: { servers: [dns.address] } },
    domains: ['local.example'],
    accounts: [USER],
    settings: { 'smtp.outboundPort': String(peer.port), 'smtp.mx.allowPrivateAddresses': 'on' },
  });
  return { cmail, peer, promises: new Promises(cmail, peer) };
}

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

for (const keep of ['none', 'all'] as const) {
  const what = keep === 'all' ? 'killed' : 'power cut';
  test(`${what} before and after every commit of mail in, mail out, a setting and a deletion`, async (t) => {
    const power = await preparePowerCut(t);
    if (power === null) return;
    const world = await startWorld(t);
    const places: string[] = [];
    for (const side of ['before', 'after']) {
      for (let k = 1; ; k += 1) {
        assert.ok(k < MOST_SYNCS, 'the journey ends');
        const { cmail, promises } = world;
        await cmail.restart(await power.environment({ dataDir: cmail.dataDir, keep, seed: k }));
        power.command(`${side} ${k}`);
        const stage = await journey(world);
        await cmail.restart();
        await promises.check();
        if (stage === null) break;
        places.push(`${side} a sync of ${stage}`);
      }
    }
    for (const stage of STAGES) {
      for (const side of ['before', 'after']) assert.ok(places.includes(`${side} a sync of ${stage}`));
    }
    await world.promises.checkAllArrived();
    t.diagnostic(`${places.length} ends: ${places.join(', ')}`);
  });
}

/**
 * One of each, one after the other. Resolves to the stage in which the server ended, or null when all was done.
 * Rejects, with the reason, when something failed and the server had not ended.
 */
async function journey({ cmail, promises }: World): Promise<Stage | null> {
  let ended = false;
  void cmail.ended.then(() => {
    ended = true;
  });
  let client: SmtpClient | undefined;
  let stage: Stage = 'mail in';
  const all = async () => {
    client = await greeted(cmail.listeners.smtp);
    await promises.send(client, 'local');
    await promises.send(client, 'far');
    stage = 'mail out';
    await emptyQueue(cmail, () => ended);
    stage = 'setting';
    await promises.changeSetting();
    stage = 'deletion';
    await promises.collect();
  };
  try {
    await within(JOURNEY_LIMIT_MS, 'the journey', all());
    return ended ? stage : null;
  } catch (error) {
    if (error instanceof BrokenPromise) throw error;
    const why = `failed at ${stage}, and not because of the cut: ${String(error)}`;
    if (!ended) await within(END_LIMIT_MS, why, cmail.ended);
    return stage;
  } finally {
    client?.destroy();
  }
}

/** Rejects when `work` takes longer; what it comes to after that is nobody's. */
async function within<T>(limitMs: number, what: string, work: Promise<T>): Promise<T> {
  const stop = new AbortController();
  const late = delay(limitMs, undefined, { signal: stop.signal }).then(() => {
    throw new Error(`waited ${limitMs} ms: ${what}`);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    late.catch(() => undefined);
    stop.abort();
  }
}

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
  await cmail.ended;
  client.destroy();
  assert.equal(peer.messages.length, 1);
  peer.script({});
  await cmail.restart();
  await promises.check();
  await promises.checkAllArrived();
  const markers = peer.messages.map((message) => wholeMarker(message.data));
  assert.deepEqual(markers, ['far-1', 'far-1']);
});
