/** The nodes that share the store, as far as one of them can see trouble between them. */
import type { NodeInfo } from '../storage/nodes-contract.ts';
import type { CheckFinding } from './context.ts';
import { fine, warning } from './finding.ts';

export interface NodesChecked {
  readonly hostname: string;
  readonly ownNames: readonly string[];
  /** Of the node that checks. */
  readonly nodeId: string;
  readonly nodes: readonly NodeInfo[];
}

/** Nothing to say when there is no other node. */
export function checkNodes({ hostname, ownNames, nodeId, nodes }: NodesChecked): CheckFinding[] {
  const alive = nodes.filter((node) => node.alive);
  const own = alive.find(({ id }) => id === nodeId);
  const others = alive.filter(({ id }) => id !== nodeId);
  const findings = others.flatMap(({ name, version }): CheckFinding[] => {
    const found: CheckFinding[] = [];
    if (name === hostname) {
      found.push(
        warning(
          'nodes',
          `another node is called ${name} too`,
          'A node takes a server that greets with its own name for itself, and does not send to it.',
          'Give each node a hostname of its own in its cmail.toml.',
        ),
      );
    } else if (!ownNames.includes(name)) {
      found.push(
        warning(
          'nodes',
          `${name} is a node of this store, and not on smtp.ownNames`,
          'An MX that is this node is taken for another server, and mail may go round between the two.',
          `Add it: "cmail settings set smtp.ownNames ${[...ownNames, name].join(',')}".`,
        ),
      );
    }
    if (own !== undefined && version !== own.version) {
      found.push(
        warning(
          'nodes',
          `${name} runs version ${version}, this node ${own.version}`,
          'While versions differ, nodes may decide differently.',
          'Update the older one.',
        ),
      );
    }
    return found;
  });
  if (findings.length > 0 || others.length === 0) return findings;
  const names = others.map(({ name }) => name).join(', ');
  return [fine('nodes', `the other nodes of this store are ${names}`)];
}
