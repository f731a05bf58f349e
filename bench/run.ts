/**
 * `npm run bench`: durable accept beside Postfix's `smtp-sink`, and memory under large mail; writes
 * docs/benchmarks.md. Takes a minute or two. Never part of the tests: a figure is a report, not a verdict.
 *
 *   CMAIL_BENCH_ROUNDS    rounds of each (5)
 *   CMAIL_BENCH_MESSAGES  messages a round (10000)
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { CleanUp } from '../test/support/cmail.ts';
import { type AcceptFigures, measureAccept, runOnce } from './accept.ts';
import { describeMachine } from './machine.ts';
import { measureMemory } from './memory.ts';
import { readProfiles, type ThreadProfile } from './profile.ts';
import { AIM_RATIO, formatReport, type Report, writeReport } from './report.ts';

const FILE = resolve(import.meta.dirname, '../docs/benchmarks.md');

function say(text: string): void {
  process.stderr.write(`bench: ${text}\n`);
}

function count(name: string, usual: number): number {
  const value = Number(process.env[name] ?? usual);
  if (!Number.isInteger(value) || value < 1) throw new Error(`${name} must be a whole number above 0`);
  return value;
}

/** Runs `work` and then, last first, what it left to clean up. */
async function withCleanUp<T>(work: (t: CleanUp) => Promise<T>): Promise<T> {
  const actions: (() => Promise<void> | void)[] = [];
  try {
    return await work({ after: (action) => actions.push(action) });
  } finally {
    for (const action of actions.toReversed()) await action();
  }
}

async function accept(kept: boolean, rounds: number, messages: number): Promise<AcceptFigures> {
  say(
    `durable accept, connections ${kept ? 'kept' : 'not kept'}: ${rounds} rounds of ${messages} messages …`,
  );
  const figures = await withCleanUp((t) => measureAccept(t, { kept, rounds, messages }));
  say(
    `  CMail ${figures.cmail.join(', ')}; smtp-sink ${figures.sink.join(', ')}; ratio ${figures.ratio.toFixed(2)}`,
  );
  return figures;
}

function profile(messages: number): Promise<ThreadProfile[]> {
  say('below the aim: one more run for the profile …');
  return withCleanUp(async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'cmail-profile-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const env = { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${folder}` };
    await runOnce(t, { kept: true, messages: 3 * messages, env });
    return readProfiles(folder, 12);
  });
}

const rounds = count('CMAIL_BENCH_ROUNDS', 5);
const messages = count('CMAIL_BENCH_MESSAGES', 10_000);
const kept = await accept(true, rounds, messages);
const single = await accept(false, rounds, messages);
const threads = kept.ratio < AIM_RATIO ? await profile(messages) : [];
say('memory: 100 sessions of 25 MB each …');
const memory = await withCleanUp(measureMemory);
const report: Report = {
  machine: await describeMachine(),
  date: new Date().toISOString().slice(0, 10),
  messages,
  accept: [kept, single],
  profile: threads,
  memory,
};
await writeReport(FILE, report);
process.stdout.write(formatReport(report));
say(`written to ${FILE}`);
