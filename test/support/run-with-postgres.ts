/**
 * Runs a command with one PostgreSQL for all of it: `node run-with-postgres.ts COMMAND ARGUMENT…`. Exits with the
 * command's status. Without PostgreSQL installed it runs the command all the same, whose tests then say so.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { postgresPrograms, startPostgres } from './postgres-server.ts';
import { RUN_URL } from './postgres-shared.ts';

const [command, ...args] = process.argv.slice(2);
if (command === undefined) throw new Error('run-with-postgres.ts COMMAND ARGUMENT…');
const server = postgresPrograms() === null ? null : await startPostgres();
const env = server === null ? process.env : { ...process.env, [RUN_URL]: server.url('postgres') };
const child = spawn(command, args, { stdio: 'inherit', env });
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
const [code] = await once(child, 'exit');
await server?.close();
process.exitCode = typeof code === 'number' ? code : 1;
