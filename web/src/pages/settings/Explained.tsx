import type { Explanation } from '../../api/explain.ts';
import { Mark } from '../../parts/Note.tsx';
import type { Tone } from '../../parts/tone.ts';
import { t } from '../../strings.ts';

const words = t.settings.attempt;

const TONES: Readonly<Record<string, Tone>> = {
  local: 'good',
  external: 'info',
  refused: 'bad',
  notice: 'warn',
  postmaster: 'good',
  deferred: 'warn',
};

/** The answer in one line: a mark and the way. */
export function Verdict({ explanation }: { readonly explanation: Explanation }) {
  const { decision } = explanation;
  return (
    <div className="verdict">
      <Mark tone={TONES[decision] ?? 'plain'}>{t.settings.decision[decision] ?? decision}</Mark>
      <span className="break">{wayOf(explanation)}</span>
    </div>
  );
}

/** Where the mail would go, in a few words. */
export function wayOf({ decision, reply, route }: Explanation): string {
  if (decision === 'refused' || decision === 'deferred' || decision === 'notice')
    return `${reply.code} ${reply.enhanced} ${reply.text}`;
  if (route === null || route.via === 'mailbox') return '';
  if (route.failure !== null) return t.mail.wayFailure(route.failure.kind, route.failure.action);
  const first = route.hosts[0];
  const where = first === undefined ? '' : `${first.name}, port ${first.port}`;
  return t.mail.way(route.via, where, route.fallback);
}

interface ExplainedProps {
  readonly explanation: Explanation;
  /** The answer by the settings in force, when this one is by edited settings. */
  readonly before?: Explanation;
}

/** The whole answer: steps, servers, and what each failure would lead to. */
export function Explained({ explanation, before }: ExplainedProps) {
  const { steps, route, reply, outlook } = explanation;
  const outlooks = outlook.length > 0 && <Outlooks outlook={outlook} before={before?.outlook} />;
  // What the edited settings change comes first.
  const outlookFirst = before !== undefined && JSON.stringify(outlook) !== JSON.stringify(before.outlook);
  return (
    <div className="stack">
      {outlookFirst && outlooks}
      <div>
        <h3>{words.steps}</h3>
        <ol className="steps">
          {steps.map((step, at) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: the steps of one answer never move
            <li key={at} className={`step step-${step.kind}`}>
              <span className="step-kind">{words.step[step.kind] ?? step.kind}</span>
              <span className="break">{step.text}</span>
            </li>
          ))}
        </ol>
      </div>
      {route !== null && route.hosts.length > 0 && <Hosts hosts={route.hosts} />}
      <dl className="facts">
        <dt>{words.reply}</dt>
        <dd className="mono">{`${reply.code} ${reply.enhanced} ${reply.text}`}</dd>
      </dl>
      {!outlookFirst && outlooks}
    </div>
  );
}

function Hosts({ hosts }: { readonly hosts: NonNullable<Explanation['route']>['hosts'] }) {
  return (
    <div>
      <h3>{words.hosts}</h3>
      <ol className="hosts">
        {hosts.map(({ name, port, preference, addresses }) => (
          <li key={`${name}:${port}`}>
            <span className="mono break">{`${name}:${port}`}</span>
            {preference !== null && <span className="dim small"> {words.preference(preference)}</span>}
            <div className="dim small mono break">{addresses.join(', ')}</div>
          </li>
        ))}
      </ol>
    </div>
  );
}

interface OutlooksProps {
  readonly outlook: Explanation['outlook'];
  readonly before: Explanation['outlook'] | undefined;
}

/** What each kind of failure would lead to; open when that is what the edited settings change. */
function Outlooks({ outlook, before }: OutlooksProps) {
  const rows = outlook.map(({ kind, text }) => {
    const was = before?.find((row) => row.kind === kind)?.text;
    return { kind, text, was: was === text ? undefined : was };
  });
  const differs = rows.some(({ was }) => was !== undefined);
  return (
    <details key={String(differs)} open={differs}>
      <summary>{words.outlook}</summary>
      <dl className="facts outlook">
        {rows.map(({ kind, text, was }) => (
          <div key={kind} className={`outlook-row ${was === undefined ? '' : 'is-different'}`}>
            <dt>{t.settings.kinds[kind] ?? kind}</dt>
            <dd>{text}</dd>
            {was !== undefined && <dd className="dim small">{words.insteadOf(was)}</dd>}
          </div>
        ))}
      </dl>
    </details>
  );
}
