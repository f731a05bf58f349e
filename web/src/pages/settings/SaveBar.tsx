import { Button, Loader } from '@mantine/core';
import { LeaveGuard } from '../../app/LeaveGuard.tsx';
import { fieldId } from '../../app/setting-place.ts';
import { ProblemNote } from '../../parts/Note.tsx';
import { t } from '../../strings.ts';
import { ConflictDialog } from './ConflictDialog.tsx';
import type { SettingsForm } from './use-form.ts';

const words = t.settings;

/** The bar that stays in sight: how much is unsaved, what is wrong, save and discard. */
export function SaveBar({ form }: { readonly form: SettingsForm }) {
  const { changes, invalid, checking, saving, problem } = form;
  const dirty = changes.length > 0;
  return (
    <>
      <div className={`save-bar ${dirty ? 'is-dirty' : ''}`}>
        {problem !== null && <ProblemNote error={problem} />}
        <div className="row">
          <div className="save-words" role="status">
            {dirty ? (
              <strong>{words.unsaved(changes.length)}</strong>
            ) : (
              <span className="dim">{words.nothingChanged}</span>
            )}
            {invalid.length > 0 && (
              <div>
                {words.withErrors}{' '}
                {invalid.map(({ key, label }, at) => (
                  <span key={key}>
                    {at > 0 && ', '}
                    <a href={`#${fieldId(key)}`} onClick={(event) => focusField(event, key)}>
                      {label}
                    </a>
                  </span>
                ))}
              </div>
            )}
          </div>
          {checking && <Loader size="xs" aria-label={words.checking} />}
          <Button variant="default" disabled={!dirty || saving} onClick={form.discard}>
            {t.actions.discard}
          </Button>
          <Button type="submit" disabled={!dirty || invalid.length > 0} loading={saving}>
            {words.save}
          </Button>
        </div>
      </div>
      <LeaveGuard active={dirty} />
      <ConflictDialog form={form} />
    </>
  );
}

function focusField(event: { preventDefault(): void }, key: string): void {
  event.preventDefault();
  const field = document.getElementById(fieldId(key));
  field?.focus();
  document.getElementById(`${fieldId(key)}-row`)?.scrollIntoView({ block: 'center' });
}
