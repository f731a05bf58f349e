/**
 * Mutation fuzzer of the sending session: a server that says anything. Runs CMAIL_FUZZ_SECONDS (2) from
 * CMAIL_FUZZ_SEED (random, printed). What holds for every input, in any reads:
 * - nothing throws; commands are whole lines without bare CR or LF, and none comes after the end;
 * - each transaction comes to one result a recipient or to a problem, after which the session is over;
 * - nobody counts as delivered to before the end of the message was begun and a 2yz came after it.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SenderSessionOptions, Transaction } from '../../src/smtp/sender-contract.ts';
import { SenderSession } from '../../src/smtp/sender-session.ts';

type Random = (below: number) => number;

/** Mulberry32: small, and the same everywhere for one seed. */
function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const PLAIN: SenderSessionOptions = {
  ...{
    hostname: 'me.test',
    refuseSelf: true,
    tls: 'opportunistic',
    secure: null,
    credentials: null,
    loopback: true,
  },
};
const OPTIONS: readonly SenderSessionOptions[] = [
  PLAIN,
  { ...PLAIN, tls: 'required' },
  { ...PLAIN, tls: 'none', credentials: { username: 'u', password: 'p' } },
  { ...PLAIN, tls: 'none', heloOnly: true },
  { ...PLAIN, tls: 'none', probe: true },
];
const MESSAGE: Transaction = {
  ...{
    sender: 'a@me.test',
    recipients: ['b@x', 'jürgen@x', 'd@x'],
    sizeBytes: 100,
    eightBit: true,
    smtputf8: true,
  },
};
const HELLO =
  '220 far.test\r\n250-far.test\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250 DSN\r\n';
const TAKEN = '250 ok\r\n250 ok\r\n550 5.1.1 no\r\n250 ok\r\n354 go\r\n250 2.0.0 taken\r\n';
const CHUNKS = HELLO.replace('250 DSN', '250-CHUNKING\r\n250 DSN');
const CHUNK_TAKEN = '250 ok\r\n250 ok\r\n550 5.1.1 no\r\n250 ok\r\n250 2.0.0 100 octets taken\r\n';
const SEEDS: readonly string[] = [
  `${HELLO}${TAKEN}${TAKEN}`,
  `${HELLO}250 ok\r\n550 no\r\n550 no\r\n450 later\r\n354 go\r\n554 no\r\n${TAKEN}`,
  '220 far.test\r\n500 what\r\n250 far.test\r\n250 ok\r\n250 ok\r\n421 4.3.2 bye\r\n',
  '220 x\r\n250-x\r\n250 STARTTLS\r\n220 go\r\n250-x\r\n250 PIPELINING\r\n250 ok\r\n452 4.5.3 many\r\n',
  '220 x\r\n250-x\r\n250 AUTH LOGIN PLAIN\r\n334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n235 ok\r\n550 5.7.1 no\r\n',
  `220 far.test\r\n250 far.test\r\n${TAKEN}`,
  `${CHUNKS}${CHUNK_TAKEN}${CHUNK_TAKEN}`,
  `${CHUNKS}250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n554 5.6.0 no\r\n250 flushed\r\n${CHUNK_TAKEN}`,
  `${CHUNKS}250 ok\r\n550 no\r\n550 no\r\n450 later\r\n503 no recipients\r\n421 bye\r\n`,
  `220 x\r\n250-x\r\n250 CHUNKING\r\n250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n452 4.3.1 full\r\n`,
];
const MORSELS = [
  '\r',
  '\n',
  '\r\n',
  '\0',
  '421 bye\r\n',
  '250 ok\r\n',
  '250-',
  '354 go\r\n',
  '503 no recipients\r\n',
  '550 no\r\n',
  '999 x\r\n',
  '\xff',
  'x'.repeat(5000),
];

function mutate(random: Random): Buffer {
  let text = SEEDS[random(SEEDS.length)] ?? '';
  for (let rounds = random(6); rounds > 0; rounds -= 1) {
    const from = random(text.length + 1);
    const to = Math.min(text.length, from + random(40));
    const other = SEEDS[random(SEEDS.length)] ?? '';
    const morsel =
      [MORSELS[random(MORSELS.length)] ?? '', other.slice(random(other.length)), ''][random(3)] ?? '';
    text = text.slice(0, from) + morsel + text.slice(random(2) === 0 ? from : to);
  }
  return Buffer.from(text, 'latin1');
}

/** Feeds the bytes in random reads; true when a message was taken. */
function play(bytes: Buffer, options: SenderSessionOptions, random: Random): boolean {
  const session = new SenderSession(options);
  let written = false;
  let delivered = false;
  let over = false;
  const act = () => {
    for (let action = session.next(); action !== null; action = session.next()) {
      assert.ok(!over, `${action.type} after the end`);
      if (action.type === 'start-tls') {
        if (random(4) === 0) session.tlsFailed('no');
        else session.tlsStarted({ verified: random(2) === 0 });
      } else if (action.type === 'ready') {
        session.begin(MESSAGE);
      } else if (action.type === 'send-body' || action.type === 'send-chunk') {
        written = random(2) === 0;
        if (written) session.bodyEnding();
        if (random(3) === 0) continue;
        written = true;
        session.bodySent();
      } else {
        for (const result of action.results) {
          if (result?.accepted !== true) continue;
          assert.ok(options.probe === true || (written && result.stage === 'data-end'), 'accepted too early');
          assert.ok(result.reply.code >= 200 && result.reply.code < 300);
          delivered = true;
        }
        written = false;
        if (action.type === 'failed') over = true;
        else {
          assert.equal(action.results.length, MESSAGE.recipients.length);
          session.begin(MESSAGE);
        }
      }
    }
    const output = session.takeOutput().toString('utf8');
    assert.match(output, /^(?:[^\r\n]+\r\n)*$/);
  };
  const longest = 1 + random(random(2) === 0 ? 4 : 300);
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + 1 + random(longest));
    session.receive(bytes.subarray(at, end));
    act();
    at = end;
  }
  session.lost('closed', true);
  act();
  assert.ok(over && session.phase === 'ended');
  session.receive(Buffer.from('250 ok\r\n'));
  act();
  return delivered;
}

test('a server that says anything', () => {
  const seconds = Number(process.env.CMAIL_FUZZ_SECONDS ?? 2);
  const seed = Number(process.env.CMAIL_FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 32));
  console.log(`fuzz: CMAIL_FUZZ_SEED=${seed} CMAIL_FUZZ_SECONDS=${seconds}`);
  const random = randomFrom(seed);
  const started = performance.now();
  let cases = 0;
  let delivered = 0;
  while (performance.now() - started < seconds * 1000) {
    const bytes = mutate(random);
    const options = OPTIONS[random(OPTIONS.length)] ?? PLAIN;
    try {
      if (play(bytes, options, random)) delivered += 1;
    } catch (cause) {
      throw new Error(`seed ${seed}, case ${cases}, input (base64) ${bytes.toString('base64')}`, { cause });
    }
    cases += 1;
  }
  console.log(`fuzz: ${cases} sessions, ${delivered} with a message taken`);
  assert.ok(cases > 0 && delivered > 0, 'the fuzzer reached no message');
});
