import './dashboard.css';
import { type Live, useLive } from '../../api/live.ts';
import { Link } from '../../app/Link.tsx';
import { placeOfDestination } from '../../app/router.ts';
import { count, localTimes } from '../../parts/format.ts';
import { Note } from '../../parts/Note.tsx';
import { Page, Panel, Waiting } from '../../parts/Page.tsx';
import { Time } from '../../parts/Time.tsx';
import { t } from '../../strings.ts';
import { Flow } from './Flow.tsx';
import { Server } from './Server.tsx';

const words = t.dashboard;

/** What happens now: mail flow, queue, tops, alarms. All of it comes as it happens. */
export default function Dashboard() {
  const { live, connected } = useLive();
  return (
    <Page
      title={words.title}
      actions={
        <span
          className={`live ${connected ? '' : 'is-lost'}`}
          role="status"
          title={connected ? undefined : words.liveLost}
        >
          {connected ? words.live : words.liveLostShort}
        </span>
      }
    >
      {live === null ? <Waiting rows={12} /> : <Content live={live} />}
    </Page>
  );
}

function Content({ live }: { readonly live: Live }) {
  return (
    <>
      <section className="alarms" aria-label={words.alarms}>
        {live.alarms.map(({ level, text, mend }) => (
          <Note key={text} tone={level} live>
            <strong>{localTimes(text)}</strong>
            {mend !== '' && <div>{localTimes(mend)}</div>}
          </Note>
        ))}
        {/* Also keeps the room: most of the first alarm fits where this stood. */}
        {live.alarms.length === 0 && <Note tone="good">{words.noAlarms}</Note>}
      </section>
      <div className="dash">
        <div className="dash-column">
          <Flow minutes={live.minutes} />
          <Panel title={words.topReasons} id="reasons">
            <Tops
              rows={live.topReasons.map(({ reason, count: many }) => ({ name: reason, many }))}
              empty={words.noReasons}
            />
          </Panel>
        </div>
        <div className="dash-column">
          <QueueNow queue={live.queue} />
          <Panel title={words.topDestinations} id="destinations">
            <Tops
              rows={live.topDestinations.map(({ destination, waiting }) => ({
                name: destination,
                many: waiting,
                href: placeOfDestination(destination),
              }))}
              empty={words.noDestinations}
            />
          </Panel>
          <Server server={live.server} nodes={live.nodes} />
        </div>
      </div>
    </>
  );
}

function QueueNow({ queue }: Pick<Live, 'queue'>) {
  const { queued, sending, held, oldestAt, holdAll } = queue;
  return (
    <Panel title={words.queue} id="queue-now" actions={<Link href="/queue">{words.toQueue}</Link>}>
      <div className="figures">
        <Figure value={queued} name={words.waiting} />
        <Figure value={sending} name={words.sending} />
        <Figure value={held} name={words.held} />
      </div>
      <p className="dim">
        {oldestAt === null ? (
          words.nothingWaiting
        ) : (
          <>
            {words.oldest}: <Time at={oldestAt} />
          </>
        )}
      </p>
      {holdAll && <Note tone="warn">{words.holdAll}</Note>}
    </Panel>
  );
}

function Figure({ value, name }: { readonly value: number; readonly name: string }) {
  return (
    <div>
      <div className="figure-value">{count(value)}</div>
      <div className="figure-name">{name}</div>
    </div>
  );
}

interface TopRow {
  readonly name: string;
  readonly many: number;
  readonly href?: string;
}

function Tops({ rows, empty }: { readonly rows: readonly TopRow[]; readonly empty: string }) {
  if (rows.length === 0) return <p className="dim">{empty}</p>;
  return (
    <ol className="tops">
      {rows.map(({ name, many, href }) => (
        <li key={name}>
          <span>{href === undefined ? name : <Link href={href}>{name}</Link>}</span>
          <span className="number">{count(many)}</span>
        </li>
      ))}
    </ol>
  );
}
