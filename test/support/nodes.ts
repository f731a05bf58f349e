/**
 * Several servers on one PostgreSQL, each with its own data folder, name and way to the database: the way can be
 * slowed, cut or turned to another database while all of them run.
 */
import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type CleanUp, type Cmail, type CmailOptions, startCmail, temporaryFolder } from './cmail.ts';
import type { Postgres } from './postgres-server.ts';
import { startTcpProxy, type TcpProxy } from './tcp-proxy.ts';

export interface TestNode {
  readonly name: string;
  readonly cmail: Cmail;
  /** Between this node and the database. */
  readonly way: TcpProxy;
}

export interface TestNodes {
  readonly nodes: readonly TestNode[];
  /** Turns every node to another database server, such as a promoted replica; open connections end. */
  moveTo(server: Postgres): void;
  /** Starts one more on the same database. */
  add(): Promise<TestNode>;
}

/** What the nodes start with: the first one makes domains, accounts and settings. */
export type NodesOptions = Omit<CmailOptions, 'dataDir'> & {
  readonly count: number;
  /** Connects them to the database without a proxy, which then has nothing to slow or cut. */
  readonly direct?: boolean;
};

/** Starts `count` nodes, one after the other, on a new database of `server`. */
export async function startNodes(
  outer: CleanUp,
  server: Postgres,
  options: NodesOptions,
): Promise<TestNodes> {
  const actions: (() => Promise<void> | void)[] = [];
  // The last first: servers end before what they use goes.
  outer.after(async () => {
    for (const action of actions.reverse()) await action();
  });
  const t: CleanUp = { after: (action) => void actions.push(action) };
  const folder = await temporaryFolder(t);
  const database = await server.createDatabase();
  const nodes: TestNode[] = [];
  let port = server.port;
  const add = async (): Promise<TestNode> => {
    const name = `node${nodes.length + 1}.cmail.test`;
    const dataDir = join(folder, name);
    await mkdir(dataDir, { mode: 0o700 });
    const [first] = nodes;
    // Nodes on one database share the key of its secrets.
    if (first !== undefined)
      await copyFile(join(first.cmail.dataDir, 'secret.key'), join(dataDir, 'secret.key'));
    const way = await startTcpProxy(port);
    t.after(() => way.close());
    const url = server
      .url(database)
      .replace(`:${server.port}/`, `:${options.direct ? server.port : way.port}/`);
    const { config, env } = options;
    const common = { dataDir, config: { hostname: name, store: { url }, ...config }, ...(env && { env }) };
    const cmail = await startCmail(t, first === undefined ? { ...options, ...common } : common);
    const node = { name, cmail, way };
    nodes.push(node);
    return node;
  };
  for (let n = 0; n < options.count; n += 1) await add();
  return {
    nodes,
    add,
    moveTo(other) {
      port = other.port;
      for (const { way } of nodes) {
        way.target(port);
        way.cut();
      }
    },
  };
}
