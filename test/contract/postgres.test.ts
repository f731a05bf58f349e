import { openPostgresStorage } from '../../src/storage/postgres/index.ts';
import { sharedPostgres } from '../support/postgres-shared.ts';
import { storageSuite } from './storage-suite.ts';

storageSuite('postgres', async () => {
  const server = await sharedPostgres();
  const name = await server.createDatabase();
  return {
    open: () => openPostgresStorage({ url: server.url(name) }),
    dispose: () => server.dropDatabase(name),
  };
});
