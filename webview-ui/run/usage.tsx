/** Section of a run's page: what it used of the machine, over time. */
import { type UsageSeries, usageTitle, usageValue, usageWords } from '../../protocol/usage.ts';
import { Chart, colorOf } from '../shared/chart.tsx';
import { Section } from '../shared/section.tsx';

/** Series that are drawn in one chart, since they share a scale. */
const CHARTS: readonly { title: string; names: readonly UsageSeries['name'][] }[] = [
  { title: 'GPU, share of the time busy', names: ['gpuBusy'] },
  { title: 'GPU memory', names: ['gpuMemory'] },
  { title: 'GPU power, W', names: ['gpuWatts'] },
  { title: 'GPU temperature, °C', names: ['gpuCelsius'] },
  { title: 'Waiting for data, share of the time', names: ['dataWait'] },
  { title: 'Processors', names: ['cpu'] },
  { title: 'Memory', names: ['memory', 'machineMemory'] },
  { title: 'Free on the disk', names: ['diskFree'] },
];

export function Usage({ series }: { series: UsageSeries[] | null }) {
  if (series === null) return null;
  const words = usageWords(series).join('; ');
  return (
    <Section title="Machine" count={words || 'nothing was sampled'}>
      <div class="charts">
        {CHARTS.flatMap(({ title, names }) => {
          const own = series.filter(({ name }) => names.includes(name));
          if (own.length === 0) return [];
          const { unit } = own[0]!;
          return [
            <Chart
              key={title}
              title={title}
              axis="time"
              log={false}
              smoothing={0}
              height={150}
              fromZero
              format={(value) => usageValue(value, unit)}
              lines={own.map((one, i) => ({
                label: usageTitle(one),
                color: colorOf(i),
                xs: one.times,
                ys: one.values,
              }))}
            />,
          ];
        })}
      </div>
    </Section>
  );
}
