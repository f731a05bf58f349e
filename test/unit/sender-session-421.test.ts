/** 421 at every point of a session, and replies in every pieces: what is known of each recipient never depends on them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { SenderAction, Transaction } from '../../src/smtp/sender-contract.ts';
import { SenderSession } from '../../src/smtp/sender-session.ts';

const MESSAGE: Transaction = {
  ...{ sender: 'a@me.test', recipients: ['b@x', 'c@x', 'd@x'], sizeBytes: 100 },
  ...{ eightBit: false, smtputf8: false },
};
const BYE = '421 4.3.2 Closing';

function ready(pipelining: boolean): SenderSession {
  const session = new SenderSession({
    ...{
      hostname: 'me.test',
      refuseSelf: true,
      tls: 'none',
      secure: null,
      credentials: null,
      loopback: false,
    },
  });
  session.receive(
    Buffer.from(`220 far.test\r\n250-far.test\r\n250 ${pipelining ? 'PIPELINING' : 'HELP'}\r\n`),
  );
  assert.deepEqual(session.next(), { type: 'ready' });
  return session;
}

/** The replies of one transaction in pieces; ends the message as soon as it is asked for. */
function run(session: SenderSession, pieces: readonly Uint8Array[]): SenderAction | null {
  session.begin(MESSAGE);
  for (const piece of pieces) {
    session.receive(piece);
    const action = session.next();
    if (action?.type !== 'send-body') {
      if (action !== null) return action;
      continue;
    }
    session.bodySent();
  }
  return session.next();
}

/** Accepted, refused or not known, by recipient. */
function told(action: SenderAction | null): readonly (boolean | null)[] | null {
  if (action?.type !== 'done' && action?.type !== 'failed') return null;
  return action.results.map((result) => result?.accepted ?? null);
}

/** Replies before the 421, and what is known then. */
const POINTS: [string, readonly string[], readonly (boolean | null)[]][] = [
  ['MAIL', [], [null, null, null]],
  ['the first RCPT', ['250 ok'], [null, null, null]],
  ['the second RCPT', ['250 ok', '550 no'], [false, null, null]],
  ['the last RCPT', ['250 ok', '550 no', '250 ok'], [false, null, null]],
  ['DATA', ['250 ok', '550 no', '250 ok', '450 later'], [false, null, false]],
  ['the final dot', ['250 ok', '550 no', '250 ok', '450 later', '354 go'], [false, null, false]],
];

describe('421 to', () => {
  for (const [what, before, known] of POINTS) {
    for (const pipelining of [true, false]) {
      it(`${what}${pipelining ? ', pipelined' : ''}: lost, and only refusals are known`, () => {
        const session = ready(pipelining);
        const lines = [...before, BYE].map((line) => Buffer.from(`${line}\r\n`));
        const action = run(session, lines);
        assert.deepEqual(told(action), known);
        assert.equal(action?.type === 'failed' && action.problem.kind, 'lost');
        assert.equal(action?.type === 'failed' && action.problem.reply?.code, 421);
        assert.equal(session.phase, 'ended');
        session.takeOutput();
        session.receive(Buffer.from('250 ok\r\n'));
        assert.equal(session.next(), null);
        assert.equal(session.takeOutput().length, 0, 'nothing is said after it');
      });
    }
  }

  it('an empty message (354 although everybody was refused) keeps the refusals', () => {
    const session = ready(true);
    session.begin(MESSAGE);
    session.receive(Buffer.from(`250 ok\r\n550 no\r\n550 no\r\n450 later\r\n354 go\r\n${BYE}\r\n`));
    assert.deepEqual(told(session.next()), [false, false, false]);
  });

  it('RSET between two messages: the second is not known of', () => {
    for (const pipelining of [true, false]) {
      const session = ready(pipelining);
      const refused = ['250 ok', '550 no', '550 no', '550 no', ...(pipelining ? ['503 no'] : [])];
      run(
        session,
        refused.map((line) => Buffer.from(`${line}\r\n`)),
      );
      const action = run(session, [Buffer.from(`${BYE}\r\n`)]);
      assert.deepEqual(told(action), [null, null, null]);
      assert.equal(action?.type === 'failed' && action.problem.phase, 'mail');
    }
  });

  it('the middle of the data, or nothing at all while it waits', () => {
    const session = ready(true);
    session.begin(MESSAGE);
    session.receive(Buffer.from('250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n'));
    assert.deepEqual(session.next(), { type: 'send-body' });
    session.receive(Buffer.from(`${BYE}\r\n`));
    assert.deepEqual(told(session.next()), [null, false, null]);
    const idle = ready(true);
    idle.receive(Buffer.from(`${BYE}\r\n`));
    assert.equal(idle.phase, 'ended');
  });
});

const CODES = [
  '250 ok',
  '251 elsewhere',
  '450 later',
  '452-too\r\n452 many',
  '550-5.1.1 no\r\n550 5.1.1 user',
  BYE,
];
const reply = fc.constantFrom(...CODES);

/** Bytes cut at these places, which may lie beyond them. */
function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const points = [0, ...new Set(places.map((place) => place % (bytes.length + 1))), bytes.length];
  points.sort((one, other) => one - other);
  return points.slice(1).map((end, index) => bytes.subarray(points[index], end));
}

describe('pipelined replies in any pieces', () => {
  const whole = (lines: readonly string[]) => Buffer.from(lines.map((line) => `${line}\r\n`).join(''));

  it('every two pieces give what the whole gives, for 421 at every point', () => {
    for (const [, before] of POINTS.slice(0, -1)) {
      const bytes = whole([...before, BYE, '503 order']);
      const expected = run(ready(true), [bytes]);
      for (let at = 0; at <= bytes.length; at += 1)
        assert.deepEqual(run(ready(true), cut(bytes, [at])), expected);
    }
  });

  it('any pieces of any replies give what the whole gives', () => {
    const property = fc.property(
      fc.array(reply, { minLength: 4, maxLength: 4 }),
      fc.constantFrom('354 go', '451 later', '554 no', BYE),
      fc.array(fc.nat(200), { maxLength: 8 }),
      (envelope, data, places) => {
        const bytes = whole([...envelope, data]);
        const expected = run(ready(true), [bytes]);
        assert.deepEqual(run(ready(true), cut(bytes, places)), expected);
        assert.ok(!told(expected)?.includes(true), 'nobody has the message before its end');
      },
    );
    fc.assert(property, { numRuns: 2_000 });
  });
});
