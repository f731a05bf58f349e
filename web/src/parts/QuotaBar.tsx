import { t } from '../strings.ts';
import { bytes } from './format.ts';

const words = t.directory.accounts;
const NEAR_PERCENT = 85;

interface QuotaBarProps {
  readonly usedBytes: number;
  readonly quotaBytes: number | null;
}

/** How full a mailbox is: in words, and as a bar where there is a limit. */
export function QuotaBar({ usedBytes, quotaBytes }: QuotaBarProps) {
  if (quotaBytes === null) return <span className="nowrap">{words.usedOnly(bytes(usedBytes))}</span>;
  const percent = Math.min(100, Math.round((usedBytes / quotaBytes) * 100));
  const state = percent >= 100 ? 'is-full' : percent >= NEAR_PERCENT ? 'is-near' : '';
  return (
    <div className="quota">
      <span className="nowrap">{words.usedOf(bytes(usedBytes), bytes(quotaBytes))}</span>
      <div className="bar" role="img" aria-label={words.barLabel(percent)}>
        <div className={`bar-fill ${state}`} style={{ width: `${percent}%` }} />
      </div>
    </div>
  );
}
