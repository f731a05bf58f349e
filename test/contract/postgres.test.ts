import { it } from 'node:test';
import type { Storage } from '../../src/storage/contract.ts';
import { openPostgresStorage } from '../../src/storage/postgres/index.ts';
import { postgresPrograms } from '../support/postgres-server.ts';
import { sharedPostgres } from '../support/postgres-shared.ts';
import { requirePostgres } from '../support/require.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { nodesSuite } from './storage-nodes.ts';
import { storageSuite } from './storage-suite.ts';

/** The way of each node to the database, to be cut. */
const ways = new WeakMap<Storage, TcpProxy>();

if (postgresPrograms() === null) {
  it('postgres: the contract', (t) => void requirePostgres(t));
} else {
  storageSuite('postgres', async () => {
    const server = await sharedPostgres();
    const name = await server.createDatabase();
    return {
      open: () => openPostgresStorage({ url: server.url(name) }),
      dispose: () => server.dropDatabase(name),
    };
  });

  nodesSuite(
    'postgres',
    async () => {
      const server = await sharedPostgres();
      const name = await server.createDatabase();
      const url = new URL(server.url(name));
      const proxies: TcpProxy[] = [];
      return {
        open: async () => {
          const proxy = await startTcpProxy(Number(url.port));
          proxies.push(proxy);
          const storage = await openPostgresStorage({
            url: url.href.replace(`:${url.port}/`, `:${proxy.port}/`),
          });
          ways.set(storage, proxy);
          return storage;
        },
        dispose: async () => {
          await Promise.all(proxies.map((proxy) => proxy.close()));
          await server.dropDatabase(name);
        },
      };
    },
    async (storage) => ways.get(storage)?.drop(),
  );
}
