/**
 * A real PostgreSQL of its own: Debian's programs, a temporary folder, a free port of loopback, an unprivileged
 * user. Never the machine's service. It dies with the process that started it, however that ends.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { accessSync, constants, readdirSync, readFileSync, rmSync } from 'node:fs';
import { appendFile, chmod, chown, mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { poll } from './cmail.ts';
import { type CommandOptions, runChecked, runCommand } from './command.ts';
import { freePort } from './free-port.ts';

const HOST = '127.0.0.1';
/** The cluster's owner, whose name is in no message CMail could have made up. */
const OWNER = 'cluster_owner';
const READY_LIMIT_MS = 60_000;
const STARTS = 3;
const PROGRAMS = ['postgres', 'initdb', 'psql', 'pg_basebackup'] as const;

export interface PostgresOptions {
  /** Lines of postgresql.conf on top of the usual ones. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** What a cluster is asked to do over its connections, whoever started it. */
export interface PostgresAdmin {
  /** `postgres://…` of a database; the cluster's owner by default. */
  url(database: string, as?: { readonly user: string; readonly password: string }): string;
  /** Makes an empty database; resolves to its name. */
  createDatabase(): Promise<string>;
  /** Also while somebody is connected to it. */
  dropDatabase(name: string): Promise<void>;
  /** Makes a role that may log in, and nothing else. */
  createRole(): Promise<{ readonly user: string; readonly password: string }>;
  /** Runs SQL as the owner; resolves to what `psql` prints: a line a row, columns parted by `|`. */
  sql(text: string, database?: string): Promise<string>;
}

export interface Postgres extends PostgresAdmin {
  /** Stays the same over restarts. */
  readonly port: number;
  /** Ends it: `fast` throws everybody out in order, `immediate` as a crash of the database alone would. */
  stop(mode?: 'fast' | 'immediate'): Promise<void>;
  /** Ends every one of its processes as a power cut of its machine would. */
  kill9(): Promise<void>;
  /** Starts it again after `stop` or `kill9`, on the same port. */
  start(): Promise<void>;
  /**
   * Makes a streaming replica that every commit waits for from now on, so that a promotion loses nothing
   * which was confirmed.
   */
  replica(): Promise<Postgres>;
  /** Turns a replica into a primary. */
  promote(): Promise<void>;
  /** The end of what it logged. */
  log(): Promise<string>;
  /** Ends it and removes its folder, replicas not included. */
  close(): Promise<void>;
}

/** The folder of PostgreSQL's programs, the newest of Debian's or the first in PATH; null without any. */
export function postgresPrograms(): string | null {
  const debian = '/usr/lib/postgresql';
  const versions = listed(debian).sort((a, b) => Number(b) - Number(a));
  const folders = [
    ...versions.map((version) => join(debian, version, 'bin')),
    ...(process.env.PATH ?? '').split(':'),
  ];
  return folders.find((folder) => PROGRAMS.every((name) => isExecutable(join(folder, name)))) ?? null;
}

/** Speaks to a cluster that runs, by the URL of its owner. */
export function postgresAdmin(ownerUrl: string): PostgresAdmin {
  const programs = postgresPrograms();
  if (programs === null) throw new Error('PostgreSQL is not installed');
  const { username, password: ownerPassword, host } = new URL(ownerUrl);
  const url: PostgresAdmin['url'] = (database, as = { user: username, password: ownerPassword }) =>
    `postgres://${as.user}:${as.password}@${host}/${database}`;
  const sql: PostgresAdmin['sql'] = async (text, database = 'postgres') => {
    const args = ['-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', text, url(database)];
    const { stdout } = await runChecked(join(programs, 'psql'), args, { env: { LC_ALL: 'C' }, cwd: '/' });
    return stdout.toString().trim();
  };
  return {
    url,
    sql,
    createDatabase: async () => {
      const name = `cmail_${randomBytes(6).toString('hex')}`;
      await sql(`CREATE DATABASE ${name}`);
      return name;
    },
    dropDatabase: async (name) => void (await sql(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)),
    createRole: async () => {
      const user = `role_${randomBytes(6).toString('hex')}`;
      const password = randomBytes(12).toString('hex');
      await sql(`CREATE ROLE ${user} LOGIN PASSWORD '${password}'`);
      return { user, password };
    },
  };
}

/** Starts one. Rejects when PostgreSQL is not installed or does not start, with the end of its log. */
export async function startPostgres(options: PostgresOptions = {}): Promise<Postgres> {
  const programs = postgresPrograms();
  if (programs === null) throw new Error('PostgreSQL is not installed');
  const password = randomBytes(12).toString('hex');
  const place = await makePlace(programs, password);
  try {
    const passwordFile = join(place.folder, 'password');
    await writeFile(passwordFile, password);
    if (place.identity !== null) await chown(passwordFile, place.identity.uid, place.identity.gid);
    await place.run('initdb', [
      ...['-D', place.data, '--username', OWNER, '--pwfile', passwordFile],
      ...['--auth=scram-sha-256', '--encoding=UTF8', '--locale=C', '--no-sync'],
    ]);
    await rm(passwordFile);
    await writeSettings(place.data, { ...SETTINGS, ...options.settings });
    const server = new ScratchPostgres(place);
    await server.start();
    return server;
  } catch (error) {
    await rm(place.folder, { recursive: true, force: true });
    throw error;
  }
}

const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: `'${HOST}'`,
  unix_socket_directories: "''",
  max_connections: '300',
  shared_buffers: '32MB',
  max_wal_size: '256MB',
  // A test leaves nothing that a vacuum every minute would have to find.
  autovacuum_naptime: '10min',
};

interface Place {
  readonly programs: string;
  readonly folder: string;
  readonly data: string;
  readonly password: string;
  /** Whom it runs as; null for this user, who is no root. */
  readonly identity: { readonly uid: number; readonly gid: number } | null;
  /** Runs one of PostgreSQL's programs to its end; rejects with what it said. */
  run(program: string, args: readonly string[]): Promise<string>;
}

async function makePlace(programs: string, password: string): Promise<Place> {
  const identity = process.getuid?.() === 0 ? unprivileged() : null;
  const folder = await mkdtemp(join(tmpdir(), 'cmail-postgres-'));
  const data = join(folder, 'data');
  await mkdir(data, { mode: 0o700 });
  if (identity !== null) {
    await chmod(folder, 0o755);
    await chown(data, identity.uid, identity.gid);
  }
  const run = async (program: string, args: readonly string[]): Promise<string> => {
    const [command, words] = asIdentity(identity, join(programs, program), args);
    const options: CommandOptions = { env: { ...process.env, PGPASSWORD: password, LC_ALL: 'C' }, cwd: '/' };
    return (await runChecked(command, words, options)).stdout.toString();
  };
  return { programs, folder, data, password, identity, run };
}

/** PostgreSQL refuses to run as root; Debian's package makes the user `postgres`, every system has `nobody`. */
function unprivileged(): { uid: number; gid: number } {
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n');
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = lines.find((line) => line.startsWith(`${name}:`))?.split(':') ?? [];
    if (uid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new Error('there is neither a user postgres nor nobody to run PostgreSQL as');
}

function asIdentity(
  identity: Place['identity'],
  program: string,
  args: readonly string[],
  more: readonly string[] = [],
): [string, string[]] {
  const user =
    identity === null ? [] : [`--reuid=${identity.uid}`, `--regid=${identity.gid}`, '--clear-groups'];
  return ['setpriv', [...user, ...more, '--', program, ...args]];
}

async function writeSettings(data: string, settings: Readonly<Record<string, string>>): Promise<void> {
  const lines = Object.entries(settings).map(([key, value]) => `${key} = ${value}\n`);
  await appendFile(join(data, 'postgresql.conf'), lines.join(''));
}

class ScratchPostgres implements Postgres {
  readonly #place: Place;
  #port = 0;
  #child: ChildProcess | null = null;
  #ended: Promise<void> = Promise.resolve();
  readonly #atExit = (): void => {
    const pid = this.#child?.pid;
    if (pid !== undefined) for (const one of [pid, ...childrenOf(pid)]) kill(one);
    rmSync(this.#place.folder, { recursive: true, force: true, maxRetries: 5 });
  };

  constructor(place: Place) {
    this.#place = place;
    process.once('exit', this.#atExit);
  }

  get port(): number {
    return this.#port;
  }

  #admin(): PostgresAdmin {
    return postgresAdmin(`postgres://${OWNER}:${this.#place.password}@${HOST}:${this.#port}/postgres`);
  }

  url(...args: Parameters<PostgresAdmin['url']>): string {
    return this.#admin().url(...args);
  }

  createDatabase(): Promise<string> {
    return this.#admin().createDatabase();
  }

  dropDatabase(name: string): Promise<void> {
    return this.#admin().dropDatabase(name);
  }

  createRole(): ReturnType<PostgresAdmin['createRole']> {
    return this.#admin().createRole();
  }

  sql(text: string, database?: string): Promise<string> {
    return this.#admin().sql(text, database);
  }

  async start(): Promise<void> {
    // Another program may take a free port before PostgreSQL does; one that it had already it gets back.
    const tries = this.#port === 0 ? STARTS : 1;
    for (let left = tries; ; left -= 1) {
      if (tries > 1) this.#port = await freePort(HOST);
      await this.#launch();
      if (await this.#answers()) return;
      if (left === 1) throw new Error(`PostgreSQL does not start:\n${await this.log()}`);
    }
  }

  async #launch(): Promise<void> {
    const { programs, data, folder, identity } = this.#place;
    const log = await open(join(folder, 'log'), 'a');
    const [command, args] = asIdentity(
      identity,
      join(programs, 'postgres'),
      ['-D', data, '-p', String(this.#port)],
      // When whoever started it is gone it ends at once.
      ['--pdeathsig', 'QUIT'],
    );
    const env = { ...process.env, LC_ALL: 'C' };
    const child = spawn(command, args, { stdio: ['ignore', log.fd, log.fd], cwd: '/', env });
    this.#ended = new Promise((done) => {
      child.once('exit', () => done());
      child.once('error', () => done());
    });
    this.#child = child;
    // A test process that has nothing else to do ends, and PostgreSQL with it.
    child.unref();
    await log.close();
  }

  /** Whether it took connections before it ended or the time was up. */
  async #answers(): Promise<boolean> {
    let gone = false;
    void this.#ended.then(() => {
      gone = true;
    });
    const ask = ['-h', HOST, '-p', String(this.#port), '-U', OWNER, '-d', 'postgres', '-XAtqc', 'SELECT 1'];
    const env = { ...process.env, PGPASSWORD: this.#place.password };
    return poll(
      'PostgreSQL to take connections',
      async () => {
        if (gone) return 'gone';
        const { code } = await runCommand(join(this.#place.programs, 'psql'), ask, { env, cwd: '/' });
        return code === 0 ? 'up' : undefined;
      },
      READY_LIMIT_MS,
    ).then((found) => found === 'up');
  }

  async stop(mode: 'fast' | 'immediate' = 'fast'): Promise<void> {
    this.#child?.kill(mode === 'fast' ? 'SIGINT' : 'SIGQUIT');
    await this.#hold(this.#ended);
  }

  async kill9(): Promise<void> {
    const pid = this.#child?.pid;
    if (pid === undefined) return;
    // The postmaster first: it would take the death of the others for a crash and start them anew.
    const all = [pid, ...childrenOf(pid)];
    for (const one of all) kill(one);
    await this.#hold(this.#ended);
    // Its shared memory is in use until the last one is gone, and a new one would not start.
    await poll('its processes to be gone', async () => !all.some(isAlive), READY_LIMIT_MS);
  }

  /** Waits with something that keeps this process alive, which the unreferenced child does not. */
  async #hold(what: Promise<void>): Promise<void> {
    const alive = setInterval(() => undefined, 1_000);
    await what.finally(() => clearInterval(alive));
    this.#child = null;
  }

  async replica(): Promise<Postgres> {
    const place = await makePlace(this.#place.programs, this.#place.password);
    await rm(place.data, { recursive: true });
    if (place.identity !== null) await chown(place.folder, place.identity.uid, place.identity.gid);
    const from = ['-h', HOST, '-p', String(this.#port), '-U', OWNER];
    await place.run('pg_basebackup', [...from, '-D', place.data, '-R', '-X', 'stream', '-c', 'fast']);
    const replica = new ScratchPostgres(place);
    await replica.start();
    await this.sql("ALTER SYSTEM SET synchronous_standby_names = '*'");
    await this.sql('SELECT pg_reload_conf()');
    await poll(
      'the replica to be synchronous',
      async () => (await this.sql('SELECT sync_state FROM pg_stat_replication')) === 'sync',
      READY_LIMIT_MS,
    );
    return replica;
  }

  async promote(): Promise<void> {
    await this.sql('SELECT pg_promote(true, 60)');
    await poll(
      'the promoted one to take writes',
      async () => (await this.sql('SELECT pg_is_in_recovery()')) === 'f',
      READY_LIMIT_MS,
    );
  }

  async log(): Promise<string> {
    return (await readFile(join(this.#place.folder, 'log'), 'utf8')).slice(-4_000);
  }

  async close(): Promise<void> {
    process.removeListener('exit', this.#atExit);
    await this.stop('immediate');
    await rm(this.#place.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

function childrenOf(parent: number): number[] {
  return listed('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => parentOf(pid) === parent);
}

/** null when there is no such process. */
function parentOf(pid: number): number | null {
  const stat = statOf(pid);
  return stat === null ? null : Number(stat[1]);
}

/** A killed one that nobody has waited for yet is dead. */
function isAlive(pid: number): boolean {
  const stat = statOf(pid);
  return stat !== null && stat[0] !== 'Z';
}

/** State, parent and the rest of `/proc/<pid>/stat` (proc(5)); the name before them may hold anything. */
function statOf(pid: number): string[] | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch {
    return null;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // Gone by itself.
  }
}

function listed(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
