import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertNoComplaints, openPage, signIn, startSignedIn } from '../support/browser.ts';

test('the second of two administrators is told what the first one changed, and chooses', async (t) => {
  const first = await startSignedIn(t, {}, '/configuration/smtp/advanced');
  if (first === null) return;
  const { cmail } = first;
  const second = await openPage(first.browser);
  await signIn(second.page, cmail, '/configuration/smtp/advanced');
  const edit = async ({ page }: typeof second, label: string, value: string) =>
    page.getByRole('textbox', { name: label }).fill(value);
  const save = ({ page }: typeof second) => page.getByRole('button', { name: 'Save changes' }).click();
  const value = async (key: string) => (await cmail.json<{ value: unknown }>(['settings', 'get', key])).value;

  await edit(second, 'Buffer Size', '16');
  await edit(second, 'Socket Timeout', '50');
  await edit(first, 'Buffer Size', '8');
  await save(first);
  await first.page.getByText('Saved: 1 setting changed.').waitFor();
  await save(second);
  const told = second.page.getByRole('dialog', { name: 'Somebody else changed settings meanwhile' });
  await told.getByText('4 → 8').waitFor();
  await told.getByText('16', { exact: true }).waitFor();
  assert.deepEqual([await value('smtp.bufferSize'), await value('smtp.socketTimeout')], [8, 30]);

  await told.getByRole('button', { name: 'Take theirs, keep my other changes' }).click();
  await second.page.getByText('1 unsaved change').waitFor();
  assert.equal(await second.page.getByRole('textbox', { name: 'Buffer Size' }).inputValue(), '8');
  await save(second);
  await second.page.getByText('Saved: 1 setting changed.').waitFor();
  assert.deepEqual([await value('smtp.bufferSize'), await value('smtp.socketTimeout')], [8, 50]);

  await t.test('or writes over it, knowingly', async () => {
    await edit(first, 'Outbound SMTP Port', '2526');
    await edit(second, 'Outbound SMTP Port', '2527');
    await save(second);
    await second.page.getByText('Saved: 1 setting changed.').first().waitFor();
    await save(first);
    await first.page.getByRole('button', { name: 'Save mine over theirs' }).click();
    await first.page.getByText('Everything is saved.').waitFor();
    assert.equal(await value('smtp.outboundPort'), 2526);
  });
  assertNoComplaints(first);
  assertNoComplaints(second);
});
