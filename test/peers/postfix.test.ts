import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runChecked } from '../support/command.ts';
import { requirePostfix, startPostfix } from '../support/postfix.ts';
import { requireTool } from '../support/require.ts';

test('the Postfix the other tests lean on keeps exactly what smtp-source hands it', async (t) => {
  if (!requireTool(t, 'smtp-source') || !requirePostfix(t)) return;
  const postfix = await startPostfix(t);
  const to = `${postfix.host}:${postfix.port}`;
  const args = ['-s', '5', '-m', '40', '-l', '200', '-N', '-f', 'from@a.example', '-t', 'to@b.example', to];
  await runChecked('smtp-source', args);
  await postfix.waitForCount(40);
  await postfix.waitForEmptyQueue();
  const messages = await postfix.messages();
  assert.equal(messages.length, 40);
  const recipients = messages.map((text) => /^X-Original-To: (.*)$/m.exec(text)?.[1]);
  assert.equal(new Set(recipients).size, 40);
  assert.ok(recipients.includes('1to@b.example'), `got ${recipients.slice(0, 3)}`);
  await postfix.stop();
  assert.match(await postfix.logText(), /status=sent/);
});
