/** Containers that jobs run in: their settings in `trainstash.json`, and what a session's launch says of one. */
import * as v from 'valibot';
import { described } from './described.ts';

/** Programs that run containers, in the order in which they are tried. */
export const CONTAINER_PROGRAMS = ['docker', 'podman', 'apptainer', 'singularity'] as const;
export type ContainerProgram = (typeof CONTAINER_PROGRAMS)[number];

/** No option: the program would take it for one of its own. */
const image = v.pipe(v.string(), v.regex(/^[^\s-]\S*$/));
const line = v.pipe(v.string(), v.nonEmpty(), v.regex(/^[^\n\r\0]*$/));

const settingsSchema = v.strictObject({
  image: described('Image, such as `pytorch/pytorch:2.8.0-cuda12.8-cudnn9-runtime`, or a `.sif` file.', image),
  program: v.optional(described('Program that runs it; absent: the first that works.', v.picklist(CONTAINER_PROGRAMS))),
  gpus: v.optional(
    described(
      'Whether it sees the GPUs of the machine; `auto`: if there are any.',
      v.picklist(['auto', 'all', 'none']),
    ),
    'auto',
  ),
  mounts: v.optional(
    described(
      'Folders that it sees beside the project and the session: `/data`, or `/data:/inside:ro`.',
      v.array(v.pipe(line, v.regex(/^\//))),
    ),
    [],
  ),
  options: v.optional(
    described('More options of the program, such as `--shm-size=8g`, each in quotes.', v.array(line)),
    [],
  ),
});

/** Setting of a job, and what a launch file keeps of it. */
export const containerSchema = settingsSchema;
export const containerSettingSchema = v.union([
  v.pipe(
    image,
    v.transform(
      (name): v.InferOutput<typeof settingsSchema> => ({ image: name, gpus: 'auto', mounts: [], options: [] }),
    ),
  ),
  settingsSchema,
]);
export type Container = v.InferOutput<typeof containerSchema>;
