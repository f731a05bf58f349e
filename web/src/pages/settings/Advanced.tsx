import './settings.css';
import { useEffect } from 'react';
import { Link } from '../../app/Link.tsx';
import { usePlace } from '../../app/router.ts';
import { ADVANCED_KEYS, HISTORY_PATH, isAdvanced, SMTP_PATH } from '../../app/setting-place.ts';
import { Answer, Page } from '../../parts/Page.tsx';
import { t } from '../../strings.ts';
import { Besides } from './Besides.tsx';
import { Field } from './Field.tsx';
import { RecentChanges } from './RecentChanges.tsx';
import { SaveBar } from './SaveBar.tsx';
import { TryAddress } from './TryAddress.tsx';
import { useSettingsForm } from './use-form.ts';

const words = t.settings;

/** The eight settings, and beside them what the server would do with an address. */
export default function Advanced() {
  const { list, form } = useSettingsForm();
  const shown = ADVANCED_KEYS.flatMap((key) => form.settings.find((one) => one.key === key) ?? []);
  useFieldInAddress(list.data !== undefined);
  return (
    <Page
      title={words.advancedTitle}
      crumbs={[{ text: t.nav.configuration }, { text: words.smtpTitle, href: SMTP_PATH }]}
      more={words.advancedMore}
      actions={<Link href={HISTORY_PATH}>{words.toHistory}</Link>}
    >
      <Answer query={list} rows={12}>
        {() => (
          <div className="advanced">
            <div>
              <form
                aria-label={words.formLabel}
                noValidate
                onSubmit={(event) => {
                  event.preventDefault();
                  void form.save();
                }}
              >
                <div className="panel">
                  {shown.map((setting) => (
                    <Field key={setting.key} setting={setting} form={form} />
                  ))}
                </div>
                <Besides form={form} isHere={isAdvanced} />
                <SaveBar form={form} />
              </form>
            </div>
            <div className="try-column">
              <div className="try">
                <TryAddress changes={form.changes} />
              </div>
            </div>
            <RecentChanges keys={ADVANCED_KEYS} />
          </div>
        )}
      </Answer>
    </Page>
  );
}

/** Brings the field the address points at into view and gives it the focus. */
export function useFieldInAddress(ready: boolean): void {
  const { hash } = usePlace();
  useEffect(() => {
    if (!ready || hash === '') return undefined;
    const timer = setTimeout(() => {
      const id = hash.slice(1);
      document.getElementById(`${id}-row`)?.scrollIntoView({ block: 'center' });
      document.getElementById(id)?.focus({ preventScroll: true });
    }, 120);
    return () => clearTimeout(timer);
  }, [ready, hash]);
}
