import { Panel } from '../../parts/Page.tsx';
import { t } from '../../strings.ts';
import { Field } from './Field.tsx';
import type { SettingsForm } from './use-form.ts';

interface BesidesProps {
  readonly form: SettingsForm;
  readonly isHere: (key: string) => boolean;
}

/** Fields of the neighbouring page that an error here concerns as well, so that it can be mended at either. */
export function Besides({ form, isHere }: BesidesProps) {
  const concerned = form.settings.filter(
    ({ key }) => !isHere(key) && (form.errorsAt(key).length > 0 || form.isChanged(key)),
  );
  if (concerned.length === 0) return null;
  return (
    <div className="besides">
      <Panel title={t.settings.besides} id="besides" flush>
        {concerned.map((setting) => (
          <Field key={setting.key} setting={setting} form={form} />
        ))}
      </Panel>
    </div>
  );
}
