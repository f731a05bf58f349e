/** The administration API as the page uses it: first run, settings by two, mail, queue, people, live. Real server. */
import assert from 'node:assert/strict';
import { get } from 'node:http';
import { after, describe, it } from 'node:test';
import { ADMIN_PASSWORD, ask, browserOf, shaped, signIn } from '../support/api.ts';
import { startCmail } from '../support/cmail.ts';

type Any = Record<string, never> & Record<string, unknown>;

describe('the first run', async () => {
  const server = await startCmail({ after }, { config: { listen: { admin: '127.0.0.1:0' } } });
  const link = () => /http:\/\/[^\s]+\/setup#token=([\w-]+)/.exec(server.logText());

  it('leads from an empty folder to a delivered message', async () => {
    const token = link()?.[1] ?? '';
    assert.ok(token.length >= 32);
    assert.deepEqual(shaped('setupState', await ask(server, 'GET', '/api/v1/setup')), {
      needed: true,
      hostname: 'mail.cmail.test',
    });
    const setup = (body: object) => ask(server, 'POST', '/api/v1/setup', { body });
    const person = { name: 'Anna', password: ADMIN_PASSWORD };
    assert.equal((await setup({ ...person, token: 'guessed' })).status, 403);
    const weak = await setup({ ...person, password: 'password123', token });
    assert.equal(weak.status, 422);
    assert.equal(weak.json.errors?.[0]?.key, 'password');
    assert.equal((await ask(server, 'POST', '/api/v1/setup/check', { body: { token } })).status, 204);
    const made = await setup({ ...person, token });
    assert.equal(shaped('setup', made).name, 'anna');
    const anna = browserOf(server, made);
    assert.equal((await setup({ name: 'eve', password: ADMIN_PASSWORD, token })).status, 409);

    shaped('addDomain', await anna.send('POST', '/domains', { name: 'example.test' }));
    const account = { address: 'bob@example.test', password: 'long enough', quota: '10MB' };
    shaped('addAccount', await anna.send('POST', '/accounts', account));
    const sent = shaped('testMessage', await anna.send('POST', '/test-message', { to: 'bob@example.test' }));
    const story = shaped('message', await anna.get(`/messages/${sent.id}`)) as unknown as {
      recipients: { state: string }[];
      events: { kind: string }[];
      subject: string;
    };
    assert.deepEqual(
      story.events.map(({ kind }) => kind),
      ['received', 'decided', 'delivered'],
    );
    assert.equal(story.subject, 'Test message from CMail');
    assert.match(await server.run(['mail', 'show', 'bob@example.test']), /Subject: Test message from CMail/);
    const refused = await anna.send('POST', '/test-message', { to: 'nobody@example.test' });
    assert.equal(refused.status, 422);
    assert.match(String(refused.json.detail), /550 5\.1\.1/);
  });

  it('prints no link once there is an administrator, and the old one is dead', async () => {
    const old = link()?.[1] ?? '';
    const before = server.logText().length;
    await server.restart();
    assert.equal(server.logText().slice(before).includes('/setup#token='), false);
    assert.equal((await ask(server, 'POST', '/api/v1/setup/check', { body: { token: old } })).status, 409);
  });
});

describe('settings by two administrators', async () => {
  const server = await startCmail({ after });
  const [anna, bea] = [await signIn(server, 'anna'), await signIn(server, 'bea')];
  const port = (value: string) => [{ key: 'smtp.outboundPort', value }];

  it('the second is told what the first did, and overwrites nothing', async () => {
    const { version } = shaped('settings', await anna.get('/settings')) as Any;
    const first = await anna.send('PATCH', '/settings', { version, changes: port('2526') });
    assert.deepEqual(shaped('changeSettings', first).changes, [
      { key: 'smtp.outboundPort', old: '25', new: '2526' },
    ]);
    const second = await bea.send('PATCH', '/settings', { version, changes: port('2527') });
    assert.equal(second.status, 409);
    const [change] = second.json.changes as unknown as Record<string, unknown>[];
    assert.deepEqual(
      [change?.author, change?.key, change?.old, change?.new],
      ['anna', 'smtp.outboundPort', '25', '2526'],
    );
    const again = await bea.send('PATCH', '/settings', {
      version: second.json.version,
      changes: port('2527'),
    });
    assert.equal(again.status, 200);
    const history = shaped('settingsHistory', await anna.get('/settings/history?limit=1')) as unknown as {
      rows: { n: number; author: string }[];
      next: string;
    };
    assert.equal(history.rows[0]?.author, 'bea');
    const reverted = shaped(
      'revertSetting',
      await anna.send('POST', `/settings/history/${history.rows[0]?.n}/revert`),
    );
    assert.deepEqual(reverted.changes, [{ key: 'smtp.outboundPort', old: '2527', new: '2526' }]);
    const older = shaped('settingsHistory', await anna.get(`/settings/history?after=${history.next}`));
    assert.equal((older.rows as unknown as unknown[]).length, 1);
  });

  it('errors stand at every field they concern, and nothing is saved unless all is valid', async () => {
    const changes = [
      { key: 'smtp.useMxResolution', value: 'off' },
      { key: 'smtp.hopLimit', value: '50' },
    ];
    const { version } = shaped('settings', await anna.get('/settings')) as Any;
    const refused = await anna.send('PATCH', '/settings', { version, changes });
    assert.equal(refused.status, 422);
    assert.deepEqual(
      refused.json.errors?.map(({ key }) => key),
      ['smtp.useMxResolution', 'smtp.host.name'],
    );
    const preview = shaped('previewSettings', await anna.send('POST', '/settings/preview', { changes }));
    assert.equal(preview.valid, false);
    assert.match(await server.run(['settings', 'get', 'smtp.hopLimit']), /100/);
  });

  it('a preview says in a sentence what would happen, and stores nothing', async () => {
    const changes = [{ key: 'smtp.refuseUnknownUsers', value: 'off' }];
    const preview = shaped('previewSettings', await anna.send('POST', '/settings/preview', { changes }));
    const [change] = preview.changes as unknown as { sentence: string }[];
    assert.match(change?.sentence ?? '', /unknown users is accepted and goes to the domain's postmaster/);
    assert.match(await server.run(['settings', 'get', 'smtp.refuseUnknownUsers']), /on/);
  });

  it('explain compares the edited settings with those in force', async () => {
    await anna.send('POST', '/domains', { name: 'example.test' });
    await anna.send('POST', '/accounts', { address: 'bob@example.test', password: 'long enough' });
    const body = {
      address: 'nobody@example.test',
      changes: [{ key: 'smtp.refuseUnknownUsers', value: 'off' }],
    };
    const both = shaped('explain', await anna.send('POST', '/explain', body)) as unknown as {
      inForce: { decision: string };
      edited: { decision: string };
      differs: boolean;
    };
    assert.deepEqual(
      [both.inForce.decision, both.edited.decision, both.differs],
      ['refused', 'postmaster', true],
    );
    const cli = await server.json<{ decision: string; steps: unknown }>(['explain', 'nobody@example.test']);
    assert.deepEqual(JSON.parse(JSON.stringify(both.inForce)), cli);
  });

  it('secrets are never shown', async () => {
    const { version } = shaped('settings', await anna.get('/settings')) as Any;
    const changes = [{ key: 'smtp.host.password', value: 'hush-hush' }];
    assert.equal((await anna.send('PATCH', '/settings', { version, changes })).status, 200);
    for (const path of ['/settings', '/settings/history', '/settings/export', '/audit']) {
      assert.equal((await anna.get(path)).text.includes('hush-hush'), false, path);
    }
    const { settings } = shaped('settings', await anna.get('/settings')) as unknown as {
      settings: { key: string; text: string; isSet: boolean }[];
    };
    const secret = settings.find(({ key }) => key === 'smtp.host.password');
    assert.deepEqual([secret?.text, secret?.isSet], ['(set)', true]);
  });
});

describe('mail, queue and people', async () => {
  const server = await startCmail(
    { after },
    { domains: ['example.test'], accounts: [{ address: 'bob@example.test' }] },
  );
  const anna = await signIn(server);

  it('the queue by destination: count, hold, release, delete; the same as the command line shows', async () => {
    await anna.send('POST', '/queue/hold', { selector: { all: true } });
    for (const to of ['x@one.test', 'y@one.test', 'z@two.test']) {
      shaped('testMessage', await anna.send('POST', '/test-message', { to }));
    }
    const list = shaped('destinations', await anna.get('/queue/destinations')) as unknown as {
      rows: { destination: string; held: number }[];
      holdAll: boolean;
    };
    assert.deepEqual(
      list.rows.map(({ destination, held }) => [destination, held]),
      [
        ['one.test', 2],
        ['two.test', 1],
      ],
    );
    assert.equal(list.holdAll, true);
    const rows = shaped('queue', await anna.get('/queue?destination=one.test&limit=1')) as unknown as {
      rows: { id: string; subject: string; recipients: { why: string }[] }[];
      next: string;
    };
    assert.match(rows.rows[0]?.recipients[0]?.why ?? '', /x@one\.test is held/);
    const rest = shaped(
      'queue',
      await anna.get(`/queue?destination=one.test&after=${rows.next}`),
    ) as unknown as {
      rows: { id: string }[];
    };
    const cli = await server.json<{ id: string }[]>(['queue', 'list']);
    assert.deepEqual([rows.rows[0]?.id, rest.rows[0]?.id], [cli[0]?.id, cli[1]?.id]);
    const selector = { destination: 'one.test' };
    const count = shaped('deleteQueue', await anna.send('POST', '/queue/delete', { selector, dryRun: true }));
    assert.deepEqual(count, { recipients: 2, messages: 2 });
    assert.equal((await server.json<unknown[]>(['queue', 'list'])).length, 3);
    shaped('deleteQueue', await anna.send('POST', '/queue/delete', { selector }));
    assert.equal((await server.json<unknown[]>(['queue', 'list'])).length, 1);
    assert.equal((await anna.send('POST', '/queue/delete', { selector: { ids: ['ZZZZZZ'] } })).status, 404);
  });

  it('a message is found, its source downloaded, and that is recorded with the name', async () => {
    const { id } = shaped(
      'testMessage',
      await anna.send('POST', '/test-message', { to: 'bob@example.test' }),
    );
    const found = await server.waitFor('the message to be found', async () => {
      const answer = await anna.get('/messages?recipient=bob&subject=TEST%20message&state=delivered');
      const { rows } = shaped('messages', answer) as unknown as { rows: { id: string }[] };
      return rows.length > 0 && rows;
    });
    assert.equal(found[0]?.id, id);
    const headers = shaped('messageHeaders', await anna.get(`/messages/${id}/headers`)) as unknown as {
      fields: { name: string; value: string }[];
    };
    assert.ok(headers.fields.some(({ name, value }) => name === 'To' && value === '<bob@example.test>'));
    const source = await anna.get(`/messages/${id}/source`);
    assert.equal(source.headers['content-type'], 'message/rfc822');
    assert.match(source.text, /^Received: .*asked for by an administrator/s);
    const { rows } = shaped('audit', await anna.get('/audit?limit=1')) as unknown as {
      rows: { who: string; action: string; details: string; address: string }[];
    };
    assert.deepEqual(
      rows.map(({ who, action, details, address }) => [who, action, details, address]),
      [['anna', 'message.source', id, '127.0.0.1']],
    );
    assert.equal((await anna.get('/messages/ZZZZZZ')).status, 404);
  });

  it('accounts, aliases and domains change as by the command line', async () => {
    const changed = await anna.send('PATCH', '/accounts/bob@example.test', { enabled: false, quota: '1MB' });
    assert.deepEqual(shaped('changeAccount', changed).quotaBytes, 1_048_576);
    const [bob] = await server.json<{ enabled: boolean }[]>(['account', 'list']);
    assert.equal(bob?.enabled, false);
    const alias = { address: 'sales@example.test', targets: ['bob@example.test', 'gone@example.test'] };
    assert.deepEqual(shaped('addAlias', await anna.send('POST', '/aliases', alias)).unknown, [
      'gone@example.test',
    ]);
    assert.equal((await anna.send('POST', '/aliases', alias)).status, 409);
    const targets = ['bob@example.test'];
    shaped('changeAlias', await anna.send('PATCH', '/aliases/sales%40example.test', { targets }));
    assert.match(await server.run(['alias', 'list']), /sales@example\.test\s+bob@example\.test\n/);
    const domain = await anna.send('PATCH', '/domains/example.test', { catchAll: 'bob@example.test' });
    assert.equal(shaped('changeDomain', domain).catchAll, 'bob@example.test');
    assert.equal((await anna.send('DELETE', '/domains/example.test')).status, 409);
    assert.equal((await anna.send('DELETE', '/aliases/sales@example.test')).status, 204);
    assert.equal((await anna.get('/accounts/nobody@example.test')).status, 404);
  });

  it('a CSV file is checked line by line and imported all or not at all', async () => {
    const csv = (last: string) =>
      `address,password,targets\n"dan@example.test","long enough, too",\nteam@example.test,,dan@example.test;bob@example.test\nbob@example.test,long enough,\n${last}\n`;
    const send = async (body: object) =>
      shaped('import', await anna.send('POST', '/import', body)) as unknown as {
        lines: { line: number; action: string }[];
        applied: boolean;
        added: number;
        errors: number;
      };
    const bad = await send({ csv: csv('eve@elsewhere.test,short,'), dryRun: false });
    assert.deepEqual(
      bad.lines.map(({ line, action }) => [line, action]),
      [
        [2, 'add'],
        [3, 'add'],
        [4, 'skip'],
        [5, 'error'],
      ],
    );
    assert.deepEqual([bad.applied, bad.added], [false, 0]);
    assert.equal((await anna.get('/accounts/dan@example.test')).status, 404);
    const good = await send({ csv: csv('eve@example.test,long enough,'), dryRun: false });
    assert.deepEqual([good.applied, good.added, good.errors], [true, 3, 0]);
    assert.equal((await anna.get('/accounts/dan@example.test')).status, 200);
    const wrong = await anna.send('POST', '/import', { csv: 'colour\nred\n' });
    assert.equal(wrong.status, 422);
  });

  it('status, alarms, checks and traffic have their shapes', async () => {
    shaped('status', await anna.get('/status'));
    shaped('alarms', await anna.get('/alarms'));
    shaped('node', await anna.get('/node'));
    shaped('check', await anna.send('POST', '/check', {}));
    shaped('checkSmtpHost', await anna.send('POST', '/check/smtp-host', {}));
    shaped('administrators', await anna.get('/administrators'));
    const { minutes } = shaped('traffic', await anna.get('/traffic?minutes=5')) as unknown as {
      minutes: { accepted: number }[];
    };
    assert.equal(
      minutes.reduce((sum, { accepted }) => sum + accepted, 0),
      4,
    );
    const document = await anna.get('/openapi.json');
    assert.equal(document.json.openapi, '3.1.0');
    assert.match((await anna.get('/docs')).text, /<code>\/settings<\/code>/);
  });

  it('the live stream gives the whole state at once, and ends with the session', async () => {
    const { host, port } = server.listeners.admin;
    const open = get({ host, port, path: '/api/v1/live', headers: { cookie: anna.cookie } });
    const first = await new Promise<string>((done, fail) => {
      open.on('error', fail);
      open.on('response', (response) => {
        assert.equal(response.headers['content-type'], 'text/event-stream');
        let text = '';
        response.on('data', (data) => {
          text += data;
          if (text.endsWith('\n\n')) done(text);
        });
        response.on('error', () => undefined);
      });
    });
    open.destroy();
    const data = /^data: (.*)$/m.exec(first)?.[1] ?? '';
    const { ROUTES } = await import('../../src/admin/http/routes.ts');
    const live = ROUTES.live.answer.parse(JSON.parse(data));
    assert.equal(live.minutes.length, 60);
    assert.deepEqual(live.topDestinations, [{ destination: 'two.test', waiting: 1 }]);
    assert.equal(live.server.hostname, 'mail.cmail.test');
  });

  it('the host name is written into cmail.toml only where there is none', async () => {
    const refused = await anna.send('PUT', '/node/hostname', { hostname: 'mx.example.test' });
    assert.equal(refused.status, 409);
  });
});
