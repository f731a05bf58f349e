import '../messages/messages.css';
import { type OwnStory, useOwnMessage } from '../../api/me.ts';
import type { PageProps } from '../../app/pages.ts';
import { bytes } from '../../parts/format.ts';
import { Mark } from '../../parts/Note.tsx';
import { Answer, Page, Panel } from '../../parts/Page.tsx';
import { Time } from '../../parts/Time.tsx';
import { t } from '../../strings.ts';
import { StateMark } from '../messages/StateMark.tsx';
import { Story } from '../messages/Story.tsx';

const words = t.me.messages;

/** One message of the owner's, as far as it is the owner's. */
export default function OwnMessage({ params }: PageProps) {
  const id = params.id ?? '';
  const query = useOwnMessage(id);
  return (
    <Page
      title={query.data === undefined ? id : query.data.subject || t.mail.noSubject}
      crumbs={[{ text: words.title, href: '/' }, { text: id }]}
    >
      <Answer query={query} rows={12}>
        {(message) => (
          <div className="message">
            <Panel title={words.story} id="story">
              <Story events={message.events} />
            </Panel>
            <Side message={message} />
          </div>
        )}
      </Answer>
    </Page>
  );
}

function Side({ message }: { readonly message: OwnStory }) {
  const { sent, sender, size, receivedAt, recipients } = message;
  return (
    <div className="message-side">
      <Panel title={sent ? words.recipients : words.yours} id="recipients">
        {recipients.map(({ address, state, forwarded, lastReply }) => (
          <div className="recipient" key={`${address} ${forwarded}`}>
            <div className="row">
              <strong className="break">{address}</strong>
              <StateMark state={state} />
              {forwarded && <Mark tone="info">{words.wentOn}</Mark>}
            </div>
            {lastReply !== null && <div className="small break">{lastReply}</div>}
          </div>
        ))}
        {!sent && <p className="dim small">{words.note}</p>}
      </Panel>
      <Panel title={words.about} id="about">
        <dl className="facts">
          <dt>{words.sender}</dt>
          <dd>{sender || t.mail.nullSender}</dd>
          <dt>{words.at}</dt>
          <dd>
            <Time at={receivedAt} />
          </dd>
          <dt>{words.size}</dt>
          <dd>{bytes(size)}</dd>
        </dl>
      </Panel>
    </div>
  );
}
