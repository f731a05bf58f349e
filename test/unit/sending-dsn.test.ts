/** What senders asked to be told of, on the way out: passed on, answered for, and never lost. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { RecipientDsn } from '../../src/mail/dsn.ts';
import { missesTls } from '../../src/smtp/sender-dsn.ts';
import { type NewRecipient, StorageError } from '../../src/storage/contract.ts';
import { type PeerScript, type SmtpPeer, startSmtpPeer } from '../support/smtp-peer.ts';
import { host, makeWorld, route } from './sending-world.ts';

const SUCCESS: RecipientDsn = { notify: ['SUCCESS', 'FAILURE'], orcpt: null };

async function peer(t: TestContext, script: PeerScript = {}): Promise<SmtpPeer> {
  const started = await startSmtpPeer(script);
  t.after(() => started.close());
  return started;
}

describe('a server without DSN', () => {
  it('is answered for: relayed, to those who asked', async (t) => {
    const far = await peer(t, { at: { end: '250 2.6.0 Taken' } });
    const world = makeWorld(t, () => route([host(far)]));
    await world.send({ to: ['x@far.test', 'y@far.test'], recipientChanges: { dsn: SUCCESS } });
    assert.deepEqual(
      world.notices.map(({ kind, recipients }) => [kind, recipients.map(({ address }) => address)]),
      [['success', ['x@far.test', 'y@far.test']]],
    );
    const [told] = world.notices[0]?.recipients ?? [];
    assert.deepEqual(
      [told?.action, told?.status, told?.remoteMta, told?.diagnostic],
      ['relayed', '2.6.0', `mx${far.port}.test`, '250 2.6.0 Taken'],
    );
    assert.ok(!far.sessions[0]?.commands.some((command) => /NOTIFY|RET=/.test(command)));
    await world.send({ to: ['z@far.test'] });
    assert.equal(world.notices.length, 1);
  });

  it('is answered for also after the store was away when the notice was to be made, and gets nothing twice', async (t) => {
    const far = await peer(t);
    const world = makeWorld(t, () => route([host(far)]));
    world.noticeErrors.push(new StorageError('unavailable', 'away'), new StorageError('unavailable', 'away'));
    const id = await world.send({ to: ['x@far.test'], recipientChanges: { dsn: SUCCESS } });
    assert.equal(world.queue.recipients(id)[0]?.state, 'delivered');
    assert.equal(world.notices.length, 1);
    assert.equal(far.messages.length, 1);
  });
});

describe('a server with DSN', () => {
  it('is told, and answers for itself', async (t) => {
    const far = await peer(t, { extensions: ['DSN'] });
    const world = makeWorld(t, () => route([host(far)]));
    const id = await world.send({
      to: ['x@far.test'],
      changes: { dsn: { ret: 'FULL', envid: 'a+2Bb' } },
      recipientChanges: { dsn: { notify: ['SUCCESS'], orcpt: 'rfc822;X@far.test' } },
    });
    const commands = far.sessions[0]?.commands ?? [];
    assert.ok(commands.includes('MAIL FROM:<a@sender.test> RET=FULL ENVID=a+2Bb'), commands.join('\n'));
    assert.ok(commands.includes('RCPT TO:<x@far.test> NOTIFY=SUCCESS ORCPT=rfc822;X@far.test'));
    assert.deepEqual(world.notices, []);
    assert.equal(world.queue.recipients(id)[0]?.state, 'delivered');
    assert.equal(world.queue.events('delivered')[0]?.detail.dsnPassedOn, true);
  });

  it('is told the address the sender knows where an alias led on', async (t) => {
    const far = await peer(t, { extensions: ['DSN'] });
    const world = makeWorld(t, () => route([host(far)]));
    await world.send({ to: ['x@far.test'], recipientChanges: { original: 'team+a@here.test' } });
    await world.send({ to: ['y@far.test'], recipientChanges: { original: 'josé@here.test' } });
    const commands = far.sessions.flatMap((session) => session.commands);
    assert.ok(commands.includes('RCPT TO:<x@far.test> ORCPT=rfc822;team+2Ba@here.test'), commands.join('\n'));
    assert.ok(commands.includes('RCPT TO:<y@far.test> ORCPT=utf-8;jos\\x{E9}@here.test'));
  });
});

describe('a recipient that is found to be here, or a list', () => {
  const here = (address: string): NewRecipient => {
    const to = { type: 'local', delivery: { accountId: 1, header: '' } } as const;
    return { address, original: 'x@far.test', rule: 'account', to };
  };

  it('is reported as delivered, or as expanded with nothing more to report', async (t) => {
    const rows = [
      [[here('a@here.test')], 'delivered', SUCCESS],
      [[here('a@here.test'), here('b@here.test')], 'expanded', { notify: ['FAILURE'], orcpt: null }],
    ] as const;
    for (const [into, action, inherited] of rows) {
      const world = makeWorld(t, () => route([]));
      world.redecide = () => ({ type: 'expanded', into });
      await world.send({ to: ['x@far.test'], recipientChanges: { dsn: SUCCESS } });
      assert.deepEqual(
        world.notices.map(({ kind, recipients }) => [kind, recipients[0]?.action, recipients[0]?.address]),
        [['success', action, 'x@far.test']],
      );
      const { result } = world.queue.settled[0]?.outcomes[0] ?? {};
      assert.ok(result?.type === 'expanded');
      assert.deepEqual(result.into[0]?.dsn, inherited);
    }
  });

  it('waits when its notice cannot be made', async (t) => {
    const world = makeWorld(t, () => route([]));
    world.redecide = () => ({ type: 'expanded', into: [here('a@here.test')] });
    world.noticeErrors.push(new Error('no notices today'));
    const id = await world.send({ to: ['x@far.test'], recipientChanges: { dsn: SUCCESS } });
    assert.equal(world.queue.recipients(id)[0]?.state, 'queued');
  });
});

describe('REQUIRETLS', () => {
  it('goes nowhere in clear', async (t) => {
    const far = await peer(t, { extensions: ['REQUIRETLS'] });
    const world = makeWorld(t, () => route([host(far)]));
    const id = await world.send({ to: ['x@far.test'], changes: { requireTls: true } });
    assert.equal(world.queue.recipients(id)[0]?.state, 'failed');
    assert.equal(world.notices[0]?.recipients[0]?.status, '5.7.30');
    assert.ok(!far.sessions.some(({ commands }) => commands.some((command) => command.startsWith('MAIL'))));
  });

  it('needs verified TLS and the promise of the server', () => {
    const offers = new Map([['REQUIRETLS', '']]);
    const rows = [
      [false, new Map(), null, null],
      [true, offers, { verified: true }, null],
      [true, offers, { verified: false }, '5.7.30'],
      [true, offers, null, '5.7.30'],
      [true, new Map(), { verified: true }, '5.7.30'],
    ] as const;
    for (const [requireTls, extensions, secure, status] of rows) {
      assert.equal(missesTls({ requireTls }, extensions, secure)?.enhanced ?? null, status);
    }
  });
});
