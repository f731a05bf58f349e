import './messages.css';
import { Button } from '@mantine/core';
import { useState } from 'react';
import { type MessageStory, sourceAddress, useMessage, useMessageHeaders } from '../../api/messages.ts';
import { Link } from '../../app/Link.tsx';
import type { PageProps } from '../../app/pages.ts';
import { bytes, localTimes, plural } from '../../parts/format.ts';
import { Answer, Page, Panel } from '../../parts/Page.tsx';
import { Time } from '../../parts/Time.tsx';
import { t } from '../../strings.ts';
import { ActionDialog, type Wanted } from '../queue/ActionDialog.tsx';
import { ActionButtons } from '../queue/ActionMenu.tsx';
import { StateMark } from './StateMark.tsx';
import { Story } from './Story.tsx';

const words = t.mail.messages;
const WAITING = ['queued', 'held', 'sending'];

/** One message: its story, its recipients, its headers and its source. */
export default function Message({ params }: PageProps) {
  const id = params.id ?? '';
  const query = useMessage(id);
  const [wanted, setWanted] = useState<Wanted | null>(null);
  const waits = query.data?.recipients.some(({ state }) => WAITING.includes(state)) === true;
  return (
    <Page
      title={query.data?.subject || id}
      crumbs={[{ text: words.title, href: '/messages' }, { text: id }]}
      actions={waits && <ActionButtons selector={{ ids: [id] }} what={id} onWant={setWanted} />}
    >
      <Answer query={query} rows={12}>
        {(message) => (
          <div className="message">
            <div className="stack">
              <Panel title={words.storyTitle} id="story">
                <Story events={message.events} />
              </Panel>
              <Headers id={id} />
            </div>
            <Side message={message} />
          </div>
        )}
      </Answer>
      <ActionDialog wanted={wanted} onClose={() => setWanted(null)} />
    </Page>
  );
}

function Side({ message }: { readonly message: MessageStory }) {
  const { id, sender, size, receivedAt, noticeFor, recipients, sourceAvailable } = message;
  return (
    <div className="message-side">
      <Panel title={plural(recipients.length, 'recipient')} id="recipients">
        {recipients.map((recipient) => (
          <Recipient key={recipient.address + recipient.original} recipient={recipient} />
        ))}
      </Panel>
      <Panel title={words.about} id="about">
        <div className="stack">
          <dl className="facts">
            <dt>{words.from}</dt>
            <dd>{sender || t.mail.nullSender}</dd>
            <dt>{words.received}</dt>
            <dd>
              <Time at={receivedAt} />
            </dd>
            <dt>{words.size}</dt>
            <dd>{bytes(size)}</dd>
            {noticeFor !== null && (
              <>
                <dt>{words.noticeFor}</dt>
                <dd>
                  <Link href={`/messages/${encodeURIComponent(noticeFor)}`} className="mono">
                    {noticeFor}
                  </Link>
                </dd>
              </>
            )}
          </dl>
          {sourceAvailable ? (
            <div>
              <Button
                component="a"
                href={sourceAddress(id)}
                download={`${id}.eml`}
                variant="default"
                size="xs"
              >
                {words.source}
              </Button>
              <p className="dim small">{words.sourceNote}</p>
            </div>
          ) : (
            <p className="dim small">{words.sourceGone}</p>
          )}
        </div>
      </Panel>
    </div>
  );
}

function Recipient({ recipient }: { readonly recipient: MessageStory['recipients'][number] }) {
  const { address, original, state, why, lastReply, via, nextAttemptAt } = recipient;
  const said = why === null ? lastReply : localTimes(why);
  return (
    <div className="recipient">
      <div className="row">
        <strong className="break">{address}</strong>
        <StateMark state={state} />
      </div>
      {original !== address && <div className="dim small break">{words.original(original)}</div>}
      {via !== null && <div className="dim small">{t.mail.via[via] ?? via}</div>}
      {said !== null && <div className="small break">{said}</div>}
      {nextAttemptAt !== null && state === 'queued' && (
        <div className="small dim">
          {t.mail.story.next} <Time at={nextAttemptAt} />
        </div>
      )}
    </div>
  );
}

function Headers({ id }: { readonly id: string }) {
  const [wanted, setWanted] = useState(false);
  const query = useMessageHeaders(id, wanted);
  return (
    <Panel id="headers">
      <details onToggle={(event) => setWanted(event.currentTarget.open)}>
        <summary>{words.headers}</summary>
        {wanted && (
          <Answer query={query} rows={2}>
            {({ headers }) =>
              headers === '' ? (
                <p className="dim">{words.noHeaders}</p>
              ) : (
                <pre className="pre headers-text">{headers}</pre>
              )
            }
          </Answer>
        )}
      </details>
    </Panel>
  );
}
