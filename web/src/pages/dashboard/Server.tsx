import type { Live } from '../../api/live.ts';
import { bytes, count } from '../../parts/format.ts';
import { Mark } from '../../parts/Note.tsx';
import { Panel } from '../../parts/Page.tsx';
import { Time } from '../../parts/Time.tsx';
import { t } from '../../strings.ts';

const words = t.dashboard;

/** The process behind the page, and the other nodes when there are several. */
export function Server({ server, nodes }: Pick<Live, 'server' | 'nodes'>) {
  return (
    <>
      <Panel title={words.server} id="server">
        <dl className="facts">
          <dt>{words.hostname}</dt>
          <dd>{server.hostname}</dd>
          {server.startedAt !== null && (
            <>
              <dt>{words.since}</dt>
              <dd>
                <Time at={server.startedAt} />
              </dd>
            </>
          )}
          <dt>{words.sessions}</dt>
          <dd>{count(server.sessions)}</dd>
          <dt>{words.memory}</dt>
          <dd>{bytes(server.memoryBytes)}</dd>
          {server.listeners.map(({ name, endpoints }) => (
            <Listener key={name} name={name} endpoints={endpoints} />
          ))}
        </dl>
      </Panel>
      {nodes.length > 1 && (
        <Panel title={words.nodes} id="nodes">
          <dl className="facts">
            {nodes.map(({ name, alive, seenAt }) => (
              <div key={name} className="row">
                <dt>{name}</dt>
                <dd>
                  <Mark tone={alive ? 'good' : 'bad'}>{alive ? words.alive : words.silent}</Mark>{' '}
                  <Time at={seenAt} />
                </dd>
              </div>
            ))}
          </dl>
        </Panel>
      )}
    </>
  );
}

function Listener({ name, endpoints }: { readonly name: string; readonly endpoints: readonly string[] }) {
  return (
    <>
      <dt>{name}</dt>
      <dd className={endpoints.length === 0 ? 'dim' : 'mono'}>
        {endpoints.length === 0 ? words.closed : endpoints.join(', ')}
      </dd>
    </>
  );
}
