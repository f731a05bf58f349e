/** What every storage engine must do. `makePlace` gives each test a store of its own. */

import { accessSuite } from './storage-access.ts';
import { bodySuite } from './storage-bodies.ts';
import { credentialSuite } from './storage-credentials.ts';
import { directorySuite } from './storage-directory.ts';
import { dsnSuite } from './storage-dsn.ts';
import type { MakePlace } from './storage-fixture.ts';
import { nodeSuite } from './storage-node.ts';
import { ownerSuite } from './storage-owner.ts';
import { queueSuite } from './storage-queue.ts';
import { queueActionsSuite } from './storage-queue-actions.ts';
import { searchSuite } from './storage-search.ts';
import { secondFactorSuite } from './storage-second-factor.ts';
import { trustSuite } from './storage-trust.ts';

export function storageSuite(engine: string, makePlace: MakePlace): void {
  bodySuite(engine, makePlace);
  queueSuite(engine, makePlace);
  queueActionsSuite(engine, makePlace);
  directorySuite(engine, makePlace);
  dsnSuite(engine, makePlace);
  credentialSuite(engine, makePlace);
  ownerSuite(engine, makePlace);
  nodeSuite(engine, makePlace);
  accessSuite(engine, makePlace);
  trustSuite(engine, makePlace);
  secondFactorSuite(engine, makePlace);
  searchSuite(engine, makePlace);
}
