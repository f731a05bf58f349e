import { runCli } from './run.js';
// A reader that has seen enough (`cmail queue list | head`) is no error.
process.stdout.on('error', (error) => process.exit(error.code === 'EPIPE' ? 0 : 1));
const { stdin, stdout, stderr, env } = process;
const code = await runCli(process.argv.slice(2), { stdin, stdout, stderr, env, cwd: process.cwd() });
// Standard input may still be open and would keep the process; output to files, pipes and terminals is
// synchronous here, so nothing is cut off.
process.exit(code);
