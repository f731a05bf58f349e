/** Several SMTP hosts in their order, and rules that hold: what the sender does with such routes. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Route } from '../../src/routing/contract.ts';
import { buildSettings } from '../../src/settings/build.ts';
import type { SmtpHost } from '../../src/settings/values.ts';
import { startSmtpPeer } from '../support/smtp-peer.ts';
import { host, makeWorld, route, type World } from './sending-world.ts';

type Place = { readonly address: string; readonly port: number };

/** Named by their number, or all alike where they are one place. */
function smtpHosts(...places: readonly Place[]): readonly SmtpHost[] {
  const isOne = places.length > 1 && places.every((place) => place === places[0]);
  return places.map(({ port }, index) => ({
    which: (index + 1) as SmtpHost['which'],
    ...{
      name: `relay${isOne ? '' : index + 1}.test`,
      port,
      tls: 'none',
      username: `user${index + 1}`,
      password: 'secret',
    },
  }));
}

/** A route by these, in this order, and the settings that go with it. */
function world(t: Parameters<typeof makeWorld>[0], ...places: readonly Place[]): World {
  const [smtpHost = null, ...furtherSmtpHosts] = smtpHosts(...places);
  const hosts = smtpHosts(...places).map((one, index) => ({
    ...host(places[index] ?? { address: '', port: 0 }, null, one.name),
    smtpHost: one,
  }));
  const byThem: Route = route(hosts, { via: 'smtp-host', smtpHost });
  return makeWorld(t, () => byThem, { smtpHost, furtherSmtpHosts, useMxResolution: false });
}

const auth = (index: number) => ({ auth: { user: `user${index}`, password: 'secret' } });
const hostsTried = (made: World, attempt: number) =>
  ((made.queue.events('attempt')[attempt]?.detail.hosts ?? []) as { host: string; reply: string }[]).map(
    ({ host: name, reply }) => `${name} ${reply.slice(0, 5)}`,
  );

describe('several SMTP hosts', () => {
  it('the first is called before the second, and takes what it can', async (t) => {
    const [first, second] = [await startSmtpPeer(auth(1)), await startSmtpPeer(auth(2))];
    t.after(() => Promise.all([first.close(), second.close()]));
    const made = world(t, first, second);
    await made.send({ to: ['x@far.test'] });
    assert.equal(first.messages[0]?.session.user, 'user1');
    assert.equal(second.messages.length, 0);
  });

  it('one that gives no greeting is asked after the other for a while, and alone it is asked all the same', async (t) => {
    const [first, second] = [
      await startSmtpPeer({ ...auth(1), at: { greeting: '421 4.3.2 Not now' } }),
      await startSmtpPeer(auth(2)),
    ];
    t.after(() => Promise.all([first.close(), second.close()]));
    const made = world(t, first, second);
    await made.send({ to: ['x@far.test'] });
    assert.equal(second.messages[0]?.session.user, 'user2');
    assert.match(made.sender.alarms()[0] ?? '', /relay1\.test:\d+ is out of reach\. 421 4\.3\.2/);
    await made.send({ to: ['y@far.test'] });
    assert.deepEqual(hostsTried(made, 1), ['relay1.test tried', 'relay2.test 250 2']);
    assert.equal(second.messages.length, 2);
    // Now the second fails as well: the first is not forgotten.
    second.script({ at: { mail: '451 4.3.0 Later' } });
    first.script(auth(1));
    await made.send({ to: ['z@far.test'] });
    assert.equal(first.messages.length, 1);
    assert.deepEqual(made.sender.alarms(), []);
  });

  it('credentials refused at both: held at both with an alarm each, and nothing is returned', async (t) => {
    const wrong = { auth: { user: 'user', password: 'other' } };
    const [first, second] = [await startSmtpPeer(wrong), await startSmtpPeer(wrong)];
    t.after(() => Promise.all([first.close(), second.close()]));
    const made = world(t, first, second);
    const id = await made.send({ to: ['x@far.test'] });
    assert.equal(made.queue.recipients(id)[0]?.state, 'queued');
    assert.equal(made.queue.recipients(id)[0]?.lastKind, 'credentials');
    assert.equal(made.notices.length, 0);
    const alarms = made.sender.alarms();
    assert.equal(alarms.length, 2);
    assert.match(alarms[1] ?? '', /relay2\.test:\d+ \(number 2\) does not let us sign in/);
  });

  it('what the first puts off the second takes; what the first refuses for good is returned', async (t) => {
    const [first, second] = [
      await startSmtpPeer({
        ...auth(1),
        recipients: { 'later@far.test': '450 4.2.1 Later', 'never@far.test': '550 5.1.1 Never' },
      }),
      await startSmtpPeer(auth(2)),
    ];
    t.after(() => Promise.all([first.close(), second.close()]));
    const made = world(t, first, second);
    const id = await made.send({ to: ['now@far.test', 'later@far.test', 'never@far.test'] });
    const states = made.queue.recipients(id).map(({ state }) => state);
    assert.deepEqual(states, ['delivered', 'delivered', 'failed']);
    assert.deepEqual(second.messages[0]?.to, ['later@far.test']);
    assert.equal(made.notices.length, 1);
  });

  it('two SMTP hosts of one name and port are two, each with its own user', async (t) => {
    const relay = await startSmtpPeer(auth(2));
    t.after(() => relay.close());
    const made = world(t, relay, relay);
    await made.send({ to: ['x@far.test'] });
    assert.equal(relay.messages[0]?.session.user, 'user2');
  });
});

describe('a rule that holds', () => {
  it('keeps its mail from being taken, and what was taken before goes back untried', async (t) => {
    const far = await startSmtpPeer();
    t.after(() => far.close());
    const made = makeWorld(t, () => route([host(far)], { held: true }));
    const id = await made.send({ to: ['x@far.test'] });
    assert.equal(made.queue.recipients(id)[0]?.state, 'queued');
    assert.equal(made.queue.events('attempt').length, 0);

    const { destinationRules } = buildSettings(new Map([['smtp.destinationRules', 'far.test hold']]));
    made.settings = { ...made.settings, destinationRules };
    made.plan = () => route([host(far)]);
    const taken = made.plans.length;
    // Other mail that came later has gone by: the held destination was passed over.
    await made.send({ to: ['y@other.test'] });
    assert.equal(far.messages[0]?.to[0], 'y@other.test');
    assert.ok(made.plans.slice(taken).every(({ target }) => target.domain === 'other.test'));

    made.settings = { ...made.settings, destinationRules: [] };
    const settled = made.queue.settled.length;
    made.sender.wake();
    await made.queue.waitForSettled(settled + 1);
    assert.equal(made.queue.recipients(id)[0]?.state, 'delivered');
  });
});
