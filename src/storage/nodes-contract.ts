export const NODE_BEAT_MS = 3_000;
/** A node not heard of for this long has lost its leases. */
export const NODE_LEASE_MS = 15_000;
export interface NodeDescription {
  readonly name: string;
  readonly version: string;
  readonly listeners: Readonly<Record<string, readonly string[]>>;
}
export interface NodeInfo extends NodeDescription {
  readonly id: string;
  readonly startedAt: number;
  readonly seenAt: number;
  readonly alive: boolean;
  /** Destinations it owns now. */
  readonly destinations: number;
}
export interface NodeStore {
  /** This node's identity for this run of the process. */
  readonly nodeId: string;
  /** Shows this node to the others with what it serves; beats from then on until close. */
  announce(description: NodeDescription): Promise<void>;
  nodes(): Promise<readonly NodeInfo[]>;
  /** Calls back when settings or directory were changed by anybody else on the store, within a second. */
  onChanged(listener: (what: 'settings' | 'directory') => void): void;
  /** Takes the right to be the only session of a mailbox, across nodes; held while the node lives. False when another session has it. */
  acquireMailbox(accountId: number): Promise<boolean>;
  releaseMailbox(accountId: number): Promise<void>;
}
