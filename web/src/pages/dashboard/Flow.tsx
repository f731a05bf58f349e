import { useMemo, useState } from 'react';
import type { LiveMinute } from '../../api/live.ts';
import { clock, count } from '../../parts/format.ts';
import { Panel } from '../../parts/Page.tsx';
import { Plot } from '../../parts/Plot.tsx';
import { t } from '../../strings.ts';

const words = t.dashboard;
const HEIGHT_PX = 230;

/** Each series has a colour and, for all but the two good ones, dashes, so that nothing hangs on colour alone. */
const SERIES = [
  { key: 'accepted', colour: '--c-accent' },
  { key: 'delivered', colour: '--c-good' },
  { key: 'deferred', colour: '--c-warn', dash: [6, 4] },
  { key: 'refused', colour: '--c-held', dash: [2, 3] },
  { key: 'failed', colour: '--c-bad', dash: [8, 3, 2, 3] },
] as const;

/** The minutes as lines; above them the sums of the hour, or the minute the pointer is at. */
export function Flow({ minutes }: { readonly minutes: readonly LiveMinute[] }) {
  const [point, setPoint] = useState<number | null>(null);
  const times = useMemo(() => minutes.map(({ at }) => Math.round(Date.parse(at) / 1000)), [minutes]);
  const lines = useMemo(
    () =>
      SERIES.map((series) => ({
        label: words.series[series.key],
        colour: series.colour,
        ...('dash' in series ? { dash: series.dash } : {}),
        values: minutes.map((minute) => minute[series.key]),
      })),
    [minutes],
  );
  const pointed = point === null ? undefined : minutes[point];
  const figure = (key: (typeof SERIES)[number]['key']) =>
    pointed === undefined ? minutes.reduce((sum, minute) => sum + minute[key], 0) : pointed[key];
  return (
    <Panel
      title={words.flow}
      id="flow"
      actions={
        <span className="dim small">
          {pointed === undefined ? words.lastHour : words.atMinute(clock(pointed.at))}
        </span>
      }
    >
      <div className="figures">
        {SERIES.map((series) => (
          <div key={series.key}>
            <div className="figure-value">{count(figure(series.key))}</div>
            <div className="figure-name">
              <span className={`figure-key key-${series.key} ${'dash' in series ? 'is-dashed' : ''}`} />
              {words.series[series.key]}
            </div>
          </div>
        ))}
      </div>
      <Plot
        times={times}
        lines={lines}
        height={HEIGHT_PX}
        label={words.flowLabel(minutes.length)}
        onPoint={setPoint}
      />
    </Panel>
  );
}
