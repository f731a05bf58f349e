import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { temporaryFolder } from '../support/cmail.ts';
import { listScenarios } from '../support/scenario-format.ts';

async function folderWith(t: TestContext, text: string): Promise<string> {
  const folder = await temporaryFolder(t);
  await mkdir(join(folder, '01-one'));
  await writeFile(join(folder, '01-one', 'scenario.toml'), text);
  return folder;
}

const HEAD = 'title = "One"\ncites = "a row"\n';

test('a scenario is read with its placeholders replaced', async (t) => {
  const folder = await folderWith(
    t,
    `${HEAD}dns = { "a.example" = ["A {mx}"] }\n[peers.mx]\ntls = "signed"\n[[step]]\ncli = ["queue", "retry", "{id}"]\nrcpt = "550 5.1.1"\n`,
  );
  const [file] = listScenarios(folder);
  assert.equal(file?.name, '01-one');
  assert.equal(file?.usesTls, true);
  assert.deepEqual(file?.peerNames, ['mx']);
  const scenario = file?.read({ mx: '127.0.0.7' });
  assert.deepEqual(scenario?.dns, { 'a.example': ['A 127.0.0.7'] });
  assert.deepEqual(scenario?.step[0]?.cli, ['queue', 'retry', '{id}']);
  assert.deepEqual(scenario?.step[0]?.rcpt, ['550 5.1.1']);
});

test('an unknown key names the file and the key', async (t) => {
  const folder = await folderWith(t, `${HEAD}[[step]]\narives = { peer = "mx" }\n`);
  assert.throws(() => listScenarios(folder), /01-one.scenario\.toml[\s\S]*arives/);
});

test('text that is no TOML names the file', async (t) => {
  const folder = await folderWith(t, 'title = ');
  assert.throws(() => listScenarios(folder), /01-one.scenario\.toml/);
});
