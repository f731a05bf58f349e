import { Button, Checkbox, Textarea } from '@mantine/core';
import { type FormEvent, useState } from 'react';
import { type Me, useMe, useOwnChanges } from '../../api/me.ts';
import { LeaveGuard } from '../../app/LeaveGuard.tsx';
import { Note, ProblemNote } from '../../parts/Note.tsx';
import { Answer, Page, Panel } from '../../parts/Page.tsx';
import { toast } from '../../parts/toasts.tsx';
import { t } from '../../strings.ts';

const words = t.me.forwarding;

/** Where the owner's mail goes on to. */
export default function Forwarding() {
  const query = useMe();
  return (
    <Page title={words.title} more={words.more}>
      <Answer query={query} rows={6}>
        {(me) => (
          <Panel id="forwarding">
            {/* What was saved elsewhere meanwhile is taken over. */}
            <ForwardForm key={JSON.stringify(me.forward)} me={me} />
          </Panel>
        )}
      </Answer>
    </Page>
  );
}

function ForwardForm({ me: { forward, externalForwards } }: { readonly me: Me }) {
  const { setForward } = useOwnChanges();
  const saved = forward?.targets.join('\n') ?? '';
  const [text, setText] = useState(saved);
  const [keep, setKeep] = useState(forward?.keep ?? true);
  const targets = text
    .split(/[\n,;]/)
    .map((one) => one.trim())
    .filter(Boolean);
  const changed = text.trim() !== saved || (forward !== null && keep !== forward.keep);
  // What goes wrong stands in the form. The form is a new one once it is done.
  const change = (wanted: Me['forward'], said: string) =>
    setForward.mutateAsync(wanted).then(
      () => toast(said),
      () => undefined,
    );
  const send = (event: FormEvent) => {
    event.preventDefault();
    if (!setForward.isPending && targets.length > 0) void change({ targets, keep }, words.saved);
  };
  const stop = () => void change(null, words.stopped);
  return (
    <form className="stack me-form" onSubmit={send}>
      <LeaveGuard active={changed && !setForward.isPending} />
      <Note tone={forward === null ? 'plain' : 'info'}>
        <span className="break">
          {forward === null
            ? words.off
            : `${words.on(forward.targets.join(', '))} ${forward.keep ? words.copy : words.withoutCopy}`}
        </span>
      </Note>
      <Textarea
        label={words.targets}
        description={externalForwards ? words.targetsHelp : `${words.targetsHelp} ${words.localOnly}`}
        autosize
        minRows={3}
        spellCheck={false}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
      />
      <Checkbox
        label={words.keep}
        description={keep ? undefined : words.noCopy}
        checked={keep}
        onChange={(event) => setKeep(event.currentTarget.checked)}
      />
      {setForward.error !== null && <ProblemNote error={setForward.error} />}
      <div className="actions">
        <Button type="submit" loading={setForward.isPending} disabled={targets.length === 0 || !changed}>
          {t.actions.save}
        </Button>
        {forward !== null && (
          <Button variant="default" onClick={stop} disabled={setForward.isPending}>
            {words.stop}
          </Button>
        )}
      </div>
      <p className="dim small">{words.seen}</p>
    </form>
  );
}
