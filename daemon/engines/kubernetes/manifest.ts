/** Manifests of a submission to Kubernetes: one Job for each place. Pure. */
import type { EngineConfig } from '../../../protocol/engines.ts';
import { AGAIN_CODE, PLACE_FILES } from '../../../protocol/task.ts';
import type { Submission } from '../contract.ts';

/** Label by which all jobs of Trainstash are listed, and that with the key of a submission. */
export const MANAGED = 'app.kubernetes.io/managed-by=trainstash';
export const KEY_LABEL = 'trainstash/key';
/** Folder in which the container finds Node; the image need not have one. */
const NODE_FOLDER = '/trainstash-node';
const TRAINING = 'training';
const DAY_SECONDS = 86_400;
const MAX_NAME = 40;

export type KubernetesSettings = NonNullable<EngineConfig['kubernetes']>;

/** Makes a list of Jobs, in the order of the places. */
export function manifestOf(
  work: Submission,
  config: Pick<EngineConfig, 'setup' | 'lives'>,
  settings: KubernetesSettings,
  folder: string,
) {
  const items = work.places.map((place, i) => jobOf(work, place, i, config, settings, folder));
  return { apiVersion: 'v1', kind: 'List', items };
}

/** Names the Job of a place: letters that Kubernetes accepts, and unique. */
export function jobName({ name, key }: Pick<Submission, 'name' | 'key'>, index: number): string {
  const words = name
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, MAX_NAME);
  return `${words || 'run'}-${key.toLowerCase()}-${index}`;
}

function jobOf(
  work: Submission,
  place: string,
  index: number,
  { setup, lives }: Pick<EngineConfig, 'setup' | 'lives'>,
  settings: KubernetesSettings,
  folder: string,
) {
  const labels = { 'app.kubernetes.io/managed-by': 'trainstash', [KEY_LABEL]: work.key };
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: jobName(work, index), labels },
    spec: {
      // A place counts its lives by itself; this bounds what no life has counted.
      backoffLimit: lives,
      ttlSecondsAfterFinished: 7 * DAY_SECONDS,
      podFailurePolicy: {
        rules: [
          // A preemption, a drained or a lost node: the next pod goes on.
          { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
          { action: 'Ignore', onExitCodes: { containerName: TRAINING, operator: 'In', values: [AGAIN_CODE] } },
          // The training's own failure would be the same again.
          { action: 'FailJob', onExitCodes: { containerName: TRAINING, operator: 'NotIn', values: [AGAIN_CODE] } },
        ],
      },
      template: {
        metadata: { labels },
        spec: {
          // Each life is a pod of its own, so that the rules above decide.
          restartPolicy: 'Never',
          terminationGracePeriodSeconds: Math.max(1, Math.round(work.graceSeconds)),
          ...(settings.user === undefined
            ? {}
            : { securityContext: { runAsUser: settings.user, runAsGroup: settings.user, fsGroup: settings.user } }),
          volumes: [
            { name: 'work', persistentVolumeClaim: { claimName: settings.claim } },
            { name: 'node', emptyDir: {} },
            // Workers of a data loader hand their batches over in shared memory, of which a container has little.
            { name: 'shm', emptyDir: { medium: 'Memory' } },
          ],
          initContainers: [
            {
              name: 'node',
              image: settings.nodeImage,
              command: ['cp', '/usr/local/bin/node', `${NODE_FOLDER}/node`],
              volumeMounts: [{ name: 'node', mountPath: NODE_FOLDER }],
            },
          ],
          containers: [training(work, place, setup, settings, folder)],
        },
      },
    },
  };
}

function training(
  work: Submission,
  place: string,
  setup: readonly string[],
  settings: KubernetesSettings,
  folder: string,
) {
  const program = work.program.map((word) => (typeof word === 'string' ? word : `${NODE_FOLDER}/node`));
  // The shell becomes the program, which has to be the first process: the signal goes to that one alone.
  const script = [...setup, `exec "$@" "$0" >> "$0/${PLACE_FILES.log}" 2>&1`].join('\n');
  return {
    name: TRAINING,
    image: settings.image,
    command: ['/bin/sh', '-c', script, place, ...program],
    env: Object.entries(work.secrets).map(([name, value]) => ({ name, value })),
    ...(settings.gpus === 0 ? {} : { resources: { limits: { 'nvidia.com/gpu': settings.gpus } } }),
    volumeMounts: [
      { name: 'work', mountPath: folder },
      { name: 'node', mountPath: NODE_FOLDER },
      { name: 'shm', mountPath: '/dev/shm' },
    ],
  };
}
