/** Ten thousand wrong passwords from one network, over real sockets, while somebody else uses their mail. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { connect as connectSocket } from 'node:net';
import { join } from 'node:path';
import { it } from 'node:test';
import postgres from 'postgres';
import { parse } from 'smol-toml';
import { type Cmail, type Endpoint, startCmail } from '../support/cmail.ts';
import { collectMail } from '../support/collect.ts';
import { greeted, letter } from '../support/smtp-client.ts';
import { PeerReader } from '../support/smtp-peer-reader.ts';

const ANN = 'ann@here.test';
const RIGHT = 'the right one: Zebra-77';
/** Every wrong password begins so. */
const MARK = 'Guess-Qx7-';
const GUESSES = 10_000;
const GUESSING = '127.0.0.9';
const ELSEWHERE = '127.0.0.8';
const BAN_S = 15;
/** Connections at once of each protocol. */
const WORKERS = 10;
const WAIT_MS = 120_000;

interface Tally {
  guesses: number;
  /** Refused as wrong, so tried; all others were refused untried. */
  tried: number;
  connections: number;
  stop: boolean;
}

const plain = (password: string): string => Buffer.from(`\0${ANN}\0${password}`).toString('base64');

/** Guesses until the server ends the session, and says how often; rejects when a guess is not refused. */
async function guessBySmtp(server: Endpoint, tally: Tally): Promise<void> {
  const client = await greeted({ ...server, localAddress: GUESSING, replyLimitMs: WAIT_MS });
  tally.connections += 1;
  try {
    for (;;) {
      const { code } = await client.command(`AUTH PLAIN ${plain(`${MARK}${tally.guesses}`)}`);
      if (code === 421) return;
      assert.ok(code === 535 || code === 454, `${code}`);
      tally.guesses += 1;
      if (code === 535) tally.tried += 1;
    }
  } catch (error) {
    // The 421 that ends a session comes with the last refusal.
    if (!client.closed) throw error;
  } finally {
    client.destroy();
  }
}

async function guessByPop3(server: Endpoint, tally: Tally): Promise<void> {
  const socket = connectSocket({ ...server, localAddress: GUESSING, noDelay: true });
  socket.on('error', () => undefined);
  const reader = new PeerReader(socket);
  await reader.line();
  tally.connections += 1;
  try {
    while (!socket.destroyed) {
      socket.write(`USER ${ANN}\r\n`);
      if (!(await reader.line())?.startsWith('+OK')) return;
      socket.write(`PASS ${MARK}${tally.guesses}\r\n`);
      const answer = await reader.line();
      if (answer === undefined) return;
      assert.match(answer, /^-ERR \[(AUTH|SYS\/TEMP)\]/);
      tally.guesses += 1;
      if (answer.startsWith('-ERR [AUTH]')) tally.tried += 1;
    }
  } finally {
    socket.destroy();
  }
}

/** Signs in from `localAddress`, sends a message to oneself and collects it. */
async function useMail(cmail: Cmail, localAddress: string, subject: string): Promise<string> {
  const client = await greeted({ ...submission(cmail), localAddress, replyLimitMs: WAIT_MS });
  await client.expect(235, client.command(`AUTH PLAIN ${plain(RIGHT)}`));
  const data = letter({ from: ANN, to: ANN, subject });
  const { id, end } = await client.sendMessage({ from: ANN, to: [ANN], data });
  await client.quit();
  const from = { ...cmail.listeners.pop3, localAddress };
  const collected = await collectMail(from, ANN, RIGHT);
  assert.ok(
    collected.some((message) => message.includes(`Subject: ${subject}`)),
    subject,
  );
  return id ?? assert.fail(end?.text);
}

const submission = (cmail: Cmail): Endpoint => cmail.listeners.submission ?? assert.fail('no submission');

/** All that is stored: the data folder's files and, where it is kept elsewhere, the database's rows. */
async function stored(cmail: Cmail): Promise<Buffer[]> {
  const entries = await readdir(cmail.dataDir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const contents = await Promise.all(files.map(({ parentPath, name }) => readFile(join(parentPath, name))));
  const { store } = parse(await readFile(cmail.configFile, 'utf8')) as { store?: { url: string } };
  if (store === undefined) return contents;
  const sql = postgres(store.url, { max: 1, onnotice: () => undefined });
  try {
    const tables = await sql`SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) AS name
      FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`;
    for (const { name } of tables) {
      const rows = await sql.unsafe(`SELECT t::text AS row FROM ${name} t`);
      contents.push(Buffer.from(rows.map(({ row }) => row as string).join('\n')));
    }
    return contents;
  } finally {
    await sql.end();
  }
}

interface Status {
  readonly bans: readonly { readonly network: string; readonly times: number; readonly until: string }[];
}

it('10,000 wrong passwords from one network are no way in and in nobody’s way', async (t) => {
  const cmail = await startCmail(t, {
    config: { listen: { submission: ['127.0.0.1:0'] } },
    domains: ['here.test'],
    accounts: [{ address: ANN, password: RIGHT }],
    settings: { 'signIn.banTime': String(BAN_S) },
  });
  // A secret in any of the forms in which it travels; of base64 the part that no neighbour changes.
  const secrets = [MARK, RIGHT, plain(MARK).slice(0, -4), plain(RIGHT), Buffer.from(RIGHT).toString('hex')];
  const lookForSecrets = (where: string, text: string | Buffer): void => {
    for (const secret of secrets) assert.ok(!text.includes(secret), `a password is in ${where}`);
  };
  const tally: Tally = { guesses: 0, tried: 0, connections: 0, stop: false };
  const work = async (guess: typeof guessBySmtp, server: Endpoint): Promise<void> => {
    while (!tally.stop) {
      await guess(server, tally);
      lookForSecrets('the log', cmail.logText());
    }
  };
  const workers = Array.from({ length: WORKERS }, () => [
    work(guessBySmtp, submission(cmail)),
    work(guessByPop3, cmail.listeners.pop3),
  ]).flat();
  const flood = Promise.all(workers);
  let broken: unknown = null;
  flood.catch((error: unknown) => {
    broken = error;
  });
  const meanwhile = async (): Promise<void> => {
    if (broken !== null) throw broken;
    ids.push(await useMail(cmail, ELSEWHERE, `meanwhile ${ids.length}`));
  };

  const ids: string[] = [];
  const banned = async (): Promise<Status['bans'][number] | undefined> => {
    await meanwhile();
    return (await cmail.json<Status>(['status'])).bans.find(({ network }) => network === GUESSING);
  };
  try {
    const ban = await cmail.waitFor('the ban', banned, WAIT_MS);
    assert.equal(ban.times, 1);
    assert.match(await cmail.run(['access', 'list']), /127\.0\.0\.9/);
    await cmail.waitFor(
      '10,000 guesses',
      async () => {
        await meanwhile();
        return tally.guesses >= GUESSES;
      },
      WAIT_MS,
    );
  } finally {
    tally.stop = true;
  }
  await flood;
  const { guesses, tried, connections } = tally;
  t.diagnostic(`${guesses} guesses on ${connections} connections, ${tried} of them tried`);
  t.diagnostic(`${ids.length} messages of another network meanwhile`);
  assert.ok(connections >= guesses / 3, 'a session takes three guesses');
  assert.ok(tried < 200, `${tried} passwords were tried`);

  // Refused with the right password too, for as long as it lasts; then let in.
  await cmail.waitFor(
    'the end of the ban',
    async () => !(await cmail.json<Status>(['status'])).bans.some(({ network }) => network === GUESSING),
    WAIT_MS,
  );
  assert.match(await cmail.run(['access', 'list']), /Nobody is banned/);
  ids.push(await useMail(cmail, GUESSING, 'in again'));

  lookForSecrets('the log', cmail.logText());
  for (const id of ids) lookForSecrets('the timeline', JSON.stringify(await cmail.json(['message', id])));
  lookForSecrets('the sign-ins', JSON.stringify(await cmail.json(['account', 'sign-ins', ANN])));
  for (const content of await stored(cmail)) lookForSecrets('the store', content);
});
