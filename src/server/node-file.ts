/** The host name in this node's cmail.toml: read afresh, and written where there is none. */
import { readFile, rename, writeFile } from 'node:fs/promises';
import { parse, stringify } from 'smol-toml';
import type { NodeFile } from '../admin/context.ts';
import { INSTALLATION_CONFIG, type NodeConfig } from './config.ts';

export function nodeFile(config: NodeConfig): NodeFile {
  const path = config.file ?? INSTALLATION_CONFIG;
  const readHostname = async (): Promise<string | null> => {
    const text = await textOf(path);
    if (text === null) return null;
    const { hostname } = parse(text);
    return typeof hostname === 'string' ? hostname : null;
  };
  return {
    path,
    readHostname,
    canWrite: async () => config.hostnameFrom !== 'environment' && (await readHostname()) === null,
    writeHostname: async (hostname) => {
      // A key of the whole file must stand before its first section.
      const whole = `${stringify({ hostname }).trim()}\n${(await textOf(path)) ?? ''}`;
      parse(whole);
      const beside = `${path}.new`;
      await writeFile(beside, whole, { mode: 0o600 });
      await rename(beside, path);
    },
  };
}

/** null when there is no such file. */
async function textOf(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
