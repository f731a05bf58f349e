import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

/** Share of the time one function ran itself, of all time its thread was not idle. */
export interface ProfileLine {
  readonly name: string;
  readonly share: number;
}

export interface ThreadProfile {
  /** Busy seconds of the thread. */
  readonly busySeconds: number;
  readonly top: readonly ProfileLine[];
}

interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  /** Microseconds. */
  readonly timeDeltas: readonly number[];
}

const IDLE = new Set(['(idle)', '(root)']);

/** Reads what `node --cpu-prof` left in a folder: one profile a thread, the busiest first. */
export async function readProfiles(folder: string, lines: number): Promise<ThreadProfile[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.cpuprofile'));
  const threads: ThreadProfile[] = [];
  for (const name of names) {
    const profile = JSON.parse(await readFile(join(folder, name), 'utf8')) as CpuProfile;
    threads.push(summarise(profile, lines));
  }
  // What a thread does to start is no news.
  return threads.filter((one) => one.busySeconds > 0.2).toSorted((a, b) => b.busySeconds - a.busySeconds);
}

function summarise(profile: CpuProfile, lines: number): ThreadProfile {
  const names = new Map(profile.nodes.map((node) => [node.id, frameName(node.callFrame)]));
  const selfMicros = new Map<string, number>();
  let busyMicros = 0;
  for (const [index, id] of profile.samples.entries()) {
    const name = names.get(id) ?? '(unknown)';
    if (IDLE.has(name)) continue;
    const micros = profile.timeDeltas[index] ?? 0;
    busyMicros += micros;
    selfMicros.set(name, (selfMicros.get(name) ?? 0) + micros);
  }
  const top = [...selfMicros]
    .toSorted((a, b) => b[1] - a[1])
    .slice(0, lines)
    .map(([name, micros]) => ({ name, share: micros / busyMicros }));
  return { busySeconds: busyMicros / 1e6, top };
}

function frameName(frame: { functionName: string; url: string; lineNumber: number }): string {
  const name = frame.functionName || '(anonymous)';
  return frame.url === '' ? name : `${name} ${basename(frame.url)}:${frame.lineNumber + 1}`;
}
