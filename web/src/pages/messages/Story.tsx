import type { StoryEvent } from '../../api/messages.ts';
import { Link } from '../../app/Link.tsx';
import { Mark } from '../../parts/Note.tsx';
import { Time } from '../../parts/Time.tsx';
import { t } from '../../strings.ts';
import { type Chapter, chapterOf } from './story.ts';

const words = t.mail.story;

/** The timeline of a message, oldest first. */
export function Story({ events }: { readonly events: readonly StoryEvent[] }) {
  return (
    <ol className="story" aria-label={words.label}>
      {events.map((event, at) => {
        const chapter = chapterOf(event);
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: events are only ever added at the end
          <li key={at} className={`chapter chapter-${chapter.tone}`}>
            <div className="chapter-head">
              <Mark tone={chapter.tone}>{chapter.title}</Mark>
              <span className="dim small">
                <Time at={event.at} />
              </span>
            </div>
            <p className="break">{chapter.text}</p>
            <Details chapter={chapter} at={nextAttempt(event)} />
          </li>
        );
      })}
    </ol>
  );
}

function nextAttempt(event: StoryEvent): string | null {
  return typeof event.nextAttemptAt === 'string' ? event.nextAttemptAt : null;
}

function Details({ chapter, at }: { readonly chapter: Chapter; readonly at: string | null }) {
  const { rules, mx, trials, messages } = chapter;
  return (
    <>
      {at !== null && (
        <p className="dim">
          {words.next} <Time at={at} />
        </p>
      )}
      {rules.map((rule) => (
        <p key={rule} className="dim break">
          {rule}
        </p>
      ))}
      {mx !== '' && (
        <p className="dim break">
          {words.mx} <span className="mono">{mx}</span>
        </p>
      )}
      {trials.length > 0 && (
        <ul className="trials">
          {trials.map((trial) => (
            <li key={trial.where + trial.reply}>
              <div className="mono break">{trial.where}</div>
              <div className="dim small">
                {[trial.stage, trial.tls, trial.took].filter(Boolean).join(' · ')}
              </div>
              <div className="mono break">{trial.reply}</div>
              {trial.note !== '' && <div className="small">{trial.note}</div>}
            </li>
          ))}
        </ul>
      )}
      {messages.length > 0 && (
        <p>
          {messages.map((id) => (
            <Link key={id} href={`/messages/${encodeURIComponent(id)}`}>
              {words.toNotice(id)}
            </Link>
          ))}
        </p>
      )}
    </>
  );
}
