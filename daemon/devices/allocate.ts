/** Decides which devices a run gets, or what it waits for. Pure. */
import { demandWords, type GpuDemand } from '../../protocol/devices.ts';

export interface Device {
  index: number;
  /** Null for a machine that lists no GPU, which counts as one device without a name for programs. */
  uuid: string | null;
  name: string;
  totalBytes: number;
  usedBytes: number;
  /** Processes that compute on it. */
  processes: readonly number[];
}

/** A run that holds devices: those it was given, or all of them. */
export interface Holder {
  run: string;
  name: string;
  devices: readonly number[] | 'all';
}

export interface Situation {
  devices: readonly Device[];
  holders: readonly Holder[];
  /** Number of runs that may hold a device at once. */
  width: number;
  /** Tells whether a process belongs to one of our runs. */
  isOurs(pid: number): boolean;
  /** Devices that are kept for runs further ahead in the queue. */
  reserved: ReadonlySet<number>;
  /** Value of CUDA_VISIBLE_DEVICES in the run's own environment. */
  visible?: string | undefined;
}

export type Grant =
  /** `devices` null: nothing is told to the process, which sees what its environment lets it see. */
  | { granted: true; devices: readonly number[] | null }
  /** `never`: no end of another run helps, this machine does not have it. `for`: devices to keep for it. */
  | { granted: false; waits: string; never: boolean; for: readonly number[]; behind: string | null };

/** Memory in use from which a device without listed processes counts as taken: containers do not list them. */
const BUSY_BYTES = 2 * 2 ** 30;
const BUSY_SHARE = 0.1;

export function allocate(situation: Situation, demand: GpuDemand | undefined): Grant {
  if (demand === 'shared') return { granted: true, devices: null };
  if (demand === 0) return { granted: true, devices: [] };
  const { devices } = situation;
  if (demand === undefined) return wholeMachine(situation);
  const candidates = visibleTo(devices, situation.visible);
  const wanted = typeof demand === 'number' ? null : demand;
  const missing = wanted?.filter((index) => !candidates.some((device) => device.index === index)) ?? [];
  if (missing.length > 0 || (typeof demand === 'number' && demand > candidates.length))
    return {
      granted: false,
      never: true,
      for: [],
      behind: null,
      waits: `waits for ${demandWords(demand)}, but ${found(devices, candidates)}`,
    };
  const pool = wanted ? candidates.filter(({ index }) => wanted.includes(index)) : candidates;
  const count = wanted?.length ?? (demand as number);
  const free = pool.filter((device) => obstacle(situation, device) === null);
  if (free.length >= count) return { granted: true, devices: namesOf(free.slice(0, count)) };
  const blocked = pool.filter((device) => !free.includes(device));
  const [first] = blocked;
  return {
    granted: false,
    never: false,
    // What is free is kept for it as well, or smaller runs would pass it forever.
    for: [...free, ...blocked].slice(0, count).map(({ index }) => index),
    behind: holderOf(situation, first!)?.run ?? null,
    waits: `waits for ${demandWords(demand)}: ${blocked.map((device) => obstacle(situation, device)).join('; ')}`,
  };
}

/** Explains why a device is taken; null: it is free. */
export function obstacle(situation: Situation, device: Device): string | null {
  const { reserved } = situation;
  const held = holdersOf(situation, device);
  const name = nameOf(device);
  if (held.length >= situation.width) return `${name} is held by ${held.map((holder) => holder.name).join(' and ')}`;
  if (reserved.has(device.index)) return `${name} is kept for a run further ahead`;
  const foreign = held.length > 0 ? null : foreignUse(situation, device);
  return foreign && `${name} ${foreign}`;
}

/** Describes the use of a device by programs that no run of ours has started; null: there is none. */
export function foreignUse({ isOurs }: Pick<Situation, 'isOurs'>, device: Device): string | null {
  const foreign = device.processes.filter((pid) => !isOurs(pid));
  if (foreign.length > 0)
    return `is used by other programs (${foreign.length === 1 ? 'process' : 'processes'} ${foreign.join(', ')})`;
  const isBusy = device.usedBytes > Math.max(BUSY_BYTES, device.totalBytes * BUSY_SHARE);
  return device.processes.length === 0 && isBusy
    ? `has ${(device.usedBytes / 2 ** 30).toFixed(1)} GiB in use by other programs`
    : null;
}

/** Chooses the runs to interrupt for a demand, of those that may be: none that is not needed. Null: that would not help. */
export function chooseInterruptions(
  situation: Situation,
  demand: GpuDemand | undefined,
  candidates: readonly Holder[],
): Holder[] | null {
  const without = (gone: readonly Holder[]) => ({
    ...situation,
    holders: situation.holders.filter((holder) => !gone.includes(holder)),
  });
  if (!allocate(without(candidates), demand).granted) return null;
  // Each that is not needed goes on; the last ones named are spared first.
  const chosen = [...candidates];
  for (const candidate of [...candidates].reverse()) {
    const fewer = chosen.filter((one) => one !== candidate);
    if (allocate(without(fewer), demand).granted) chosen.splice(chosen.indexOf(candidate), 1);
  }
  return chosen;
}

export function nameOf({ index, uuid }: Device): string {
  return uuid === null ? 'the device' : `GPU ${index}`;
}

/** Makes the variables that show a process only its devices. Null: it sees what its environment lets it see. */
export function deviceVariables(devices: readonly number[] | null | undefined): Record<string, string> {
  if (devices == null) return {};
  return { CUDA_VISIBLE_DEVICES: devices.join(','), CUDA_DEVICE_ORDER: 'PCI_BUS_ID' };
}

function wholeMachine(situation: Situation): Grant {
  const { devices } = situation;
  // What other programs use does not matter to a run that says nothing about GPUs: it may not need one.
  const blocked = devices.filter(
    (device) => holdersOf(situation, device).length >= situation.width || situation.reserved.has(device.index),
  );
  if (blocked.length === 0) return { granted: true, devices: null };
  const holder = blocked.map((device) => holderOf(situation, device)).find((one) => one !== undefined);
  return {
    granted: false,
    never: false,
    for: devices.map(({ index }) => index),
    behind: holder?.run ?? null,
    waits: holder ? `waits behind ${holder.name}` : 'waits for the device',
  };
}

function holdersOf({ holders }: Situation, { index }: Device): Holder[] {
  return holders.filter(({ devices }) => devices === 'all' || devices.includes(index));
}

function holderOf(situation: Situation, device: Device): Holder | undefined {
  return holdersOf(situation, device).at(-1);
}

/** A device without a name is granted without variables. */
function namesOf(devices: readonly Device[]): readonly number[] | null {
  return devices.some(({ uuid }) => uuid === null) ? null : devices.map(({ index }) => index);
}

/**
 * Lists the devices that CUDA_VISIBLE_DEVICES of the user's shell lets a run see. CUDA stops at the first name that it does not
 * know, such as -1, and hides whatever follows.
 */
function visibleTo(devices: readonly Device[], visible: string | undefined): Device[] {
  const isNamed = ({ index, uuid }: Device, name: string) =>
    name === String(index) || (name.startsWith('GPU-') && uuid!.startsWith(name));
  if (visible === undefined || devices.some(({ uuid }) => uuid === null)) return [...devices];
  const names = visible.split(',').map((name) => name.trim());
  const unknown = names.findIndex((name) => !devices.some((device) => isNamed(device, name)));
  const known = names.slice(0, unknown < 0 ? undefined : unknown);
  return devices.filter((device) => known.some((name) => isNamed(device, name)));
}

function found(devices: readonly Device[], candidates: readonly Device[]): string {
  const all = devices.map(({ index }) => index).join(', ');
  if (devices.some(({ uuid }) => uuid === null))
    return 'nvidia-smi lists no GPUs on this machine, which counts as one device';
  if (devices.length === 0) return 'nvidia-smi lists no GPU';
  const hidden =
    candidates.length < devices.length
      ? `, and CUDA_VISIBLE_DEVICES shows ${candidates.map(({ index }) => index).join(', ') || 'none'}`
      : '';
  return `nvidia-smi lists ${devices.length === 1 ? `only GPU ${all}` : `GPUs ${all}`}${hidden}`;
}
