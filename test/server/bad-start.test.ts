/** What an administrator can get wrong before the server is up: each one clear error, nothing changed. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { runCmail, startCmail, temporaryFolder, writeConfig } from '../support/cmail.ts';

/** One line on standard error, and exit status 1. */
function oneError(result: { code: number; stderr: string; stdout: string }, words: RegExp): void {
  assert.equal(result.code, 1, result.stderr);
  assert.match(result.stderr, words);
  assert.equal(result.stderr.trim().split('\n').length, 1, result.stderr);
  assert.doesNotMatch(result.stdout, /ready/);
}

describe('start', () => {
  it('names a port in use and the way out', async (t) => {
    const folder = await temporaryFolder(t);
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    t.after(() => other.close());
    const address = other.address();
    assert.ok(address !== null && typeof address === 'object');
    const data = join(folder, 'data');
    const config = await writeConfig(folder, data, { listen: { smtp: [`127.0.0.1:${address.port}`] } });
    const result = await runCmail(['start', '--data', data, '--config', config]);
    oneError(
      result,
      new RegExp(`smtp listener 127\\.0\\.0\\.1:${address.port} .*port is in use.*\\[listen\\]`),
    );
  });

  it('says which address is not of this machine', async (t) => {
    const folder = await temporaryFolder(t);
    const config = await writeConfig(folder, join(folder, 'data'), { listen: { smtp: ['192.0.2.1:2525'] } });
    oneError(await runCmail(['start', '--config', config]), /192\.0\.2\.1 is not an address of this machine/);
  });

  it('refuses a data folder that cannot be written', async (t) => {
    const folder = await temporaryFolder(t);
    const file = join(folder, 'a-file');
    await writeFile(file, '');
    const config = await writeConfig(folder, join(folder, 'data'));
    for (const data of [file, join(file, 'below'), '/proc/cmail']) {
      oneError(await runCmail(['start', '--data', data, '--config', config]), /data folder .*--data/);
    }
  });

  it('refuses a second server on the same folder, and the first goes on', async (t) => {
    const server = await startCmail(t);
    const second = await runCmail(['start', '--data', server.dataDir, '--config', server.configFile]);
    oneError(second, /in use by another CMail.*--data/);
    assert.equal((await server.json<{ running: boolean }>(['status'])).running, true);
  });

  it('refuses a folder whose database is not ours, and leaves it as it is', async (t) => {
    const folder = await temporaryFolder(t);
    const data = join(folder, 'data');
    await mkdir(data);
    await writeFile(join(data, 'cmail.db'), 'this is a text file, not a database, and somebody may need it');
    const config = await writeConfig(folder, data);
    oneError(await runCmail(['start', '--data', data, '--config', config]), /cmail\.db/);
  });

  it('refuses a configuration with an unknown key, before it makes anything', async (t) => {
    const folder = await temporaryFolder(t);
    const data = join(folder, 'data');
    const config = await writeConfig(folder, data, { hostnam: 'x' });
    oneError(await runCmail(['start', '--data', data, '--config', config]), /unknown key hostnam/);
    assert.deepEqual(await readdir(folder), ['cmail.toml']);
  });

  it('refuses wrong usage with exit status 2', async () => {
    for (const args of [['strat'], ['start', '--dta', 'x'], ['domain', 'add'], ['queue', 'retry']]) {
      const result = await runCmail(args);
      assert.equal(result.code, 2, `${args.join(' ')}: ${result.stderr}`);
      assert.notEqual(result.stderr, '');
    }
  });
});

describe('the data folder', () => {
  it('is readable by its owner only, with all that is in it', async (t) => {
    const server = await startCmail(t, { domains: ['here.test'] });
    for (const name of ['', ...(await readdir(server.dataDir))]) {
      const { mode } = await stat(join(server.dataDir, name));
      assert.equal(mode & 0o077, 0, `${name} has mode ${mode.toString(8)}`);
    }
  });
});

describe('stop', () => {
  it('SIGTERM ends it with status 0 and takes the pid file away', async (t) => {
    const server = await startCmail(t);
    assert.ok((await readdir(server.dataDir)).includes('cmail.pid'));
    assert.deepEqual(await server.stop(), { code: 0, signal: null });
    assert.ok(!(await readdir(server.dataDir)).includes('cmail.pid'));
  });

  it('SIGHUP does not end it', async (t) => {
    const server = await startCmail(t);
    process.kill(server.pid, 'SIGHUP');
    assert.equal((await server.json<{ running: boolean }>(['status'])).running, true);
  });
});

describe('a settings file', () => {
  it('that is corrupt or wrong changes nothing, and the error says where', async (t) => {
    const server = await startCmail(t);
    const file = join(await temporaryFolder(t), 'settings.toml');
    const before = await server.json(['settings', 'list']);
    for (const [text, words] of [
      ['smtp.bufferSize = 8\nsmtp.hopLimit = = 3\n', /line 2|:2/],
      ['smtp.bufferSize = 8\nsmtp.socketTimeout = 601\n', /smtp\.socketTimeout = 601/],
      ['smtp.bufferSize = 8\nsmtp.bufferSice = 8\n', /smtp\.bufferSice.*smtp\.bufferSize/],
      ['smtp.bufferSize = 8\nsmtp.fallbackToSmtpHost = true\n', /smtp\.fallbackToSmtpHost = on.*SMTP host/],
    ] as const) {
      await writeFile(file, text);
      const result = await server.cli(['settings', 'apply', file]);
      assert.equal(result.code, 1, text);
      assert.match(result.stderr, words);
      assert.deepEqual(await server.json(['settings', 'list']), before);
    }
    const missing = await server.cli(['settings', 'apply', join(file, 'missing')]);
    assert.equal(missing.code, 1);
  });
});
