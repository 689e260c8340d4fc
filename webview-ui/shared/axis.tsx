/** Horizontal axis of curves. */
export type Axis = 'step' | 'epoch' | 'time';

export function AxisChoice({ axis, choose }: { axis: Axis; choose(axis: Axis): void }) {
  return (
    <label>
      by{' '}
      <select value={axis} onChange={(event) => choose(event.currentTarget.value as Axis)}>
        <option value="step">step</option>
        <option value="epoch">epoch</option>
        <option value="time">time</option>
      </select>
    </label>
  );
}
