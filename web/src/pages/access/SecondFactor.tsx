import { SecondFactorPanel } from '../../parts/SecondFactorPanel.tsx';
import { t } from '../../strings.ts';
import { AccessPage } from './AccessPage.tsx';

const words = t.access.factor;

/** One's own second factor. */
export default function SecondFactor() {
  return (
    <AccessPage title={words.title} more={words.more}>
      <SecondFactorPanel />
    </AccessPage>
  );
}
