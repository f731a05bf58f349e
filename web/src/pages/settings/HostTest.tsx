import { Button } from '@mantine/core';
import { useHostTest } from '../../api/checks.ts';
import type { SettingChangeInput } from '../../api/settings.ts';
import { Findings } from '../../parts/Findings.tsx';
import { ProblemNote } from '../../parts/Note.tsx';
import { t } from '../../strings.ts';
import type { SettingsForm } from './use-form.ts';

const words = t.settings.test;

/** Connects to the SMTP host as entered, saved or not. */
export function HostTest({ form }: { readonly form: SettingsForm }) {
  const changes = form.changes.filter(({ key }) => /^smtp\.host\d?\./.test(key));
  return (
    <div className="host-test">
      <HostTestButton changes={changes} disabled={form.text('smtp.host.name').trim() === ''} />
    </div>
  );
}

interface ButtonProps {
  readonly changes: readonly SettingChangeInput[];
  readonly disabled: boolean;
}

/** The button and what came of it. */
export function HostTestButton({ changes, disabled }: ButtonProps) {
  const test = useHostTest();
  return (
    <div className="stack-tight">
      <div className="row">
        <Button
          variant="default"
          loading={test.isPending}
          disabled={disabled}
          onClick={() => test.mutate(changes)}
        >
          {words.button}
        </Button>
        <span className="dim small">
          {disabled ? words.needsName : test.isPending ? words.running : words.more}
        </span>
      </div>
      <div aria-live="polite">
        {test.error !== null && <ProblemNote error={test.error} />}
        {test.data !== undefined && <Findings findings={test.data} />}
      </div>
    </div>
  );
}
