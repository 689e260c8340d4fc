/** GPUs that fail: the run ends with the reason, and its checkpoints are from before the failure. SwiftShader is the GPU. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { softwareGpu } from '../../scripts/software-gpu.ts';
import { temporaryFolder } from '../support/folder.ts';
import { FULL, sample } from '../support/sample.ts';
import { events, inbox, losses, makeLaunch, output, resumeFrom, train, WEBGPU_PACKAGE } from '../support/trainer.ts';

const GPU = softwareGpu(false);
const ON_GPU = { backend: 'webgpu', backendOptions: { from: WEBGPU_PACKAGE, threads: 1 } };
const EACH_TWO = { everySeconds: 0, everySteps: 2, everyEpochs: null, onBest: false };

describe.skipIf(!GPU)('a GPU that fails', () => {
  const run = (fault: string) => {
    const sessions = join(temporaryFolder(), 'sessions');
    const launch = makeLaunch({ module: 'device-faults.ts', checkpoint: EACH_TWO, ...ON_GPU });
    const params = { fault, inbox: join(sessions, launch.session, 'inbox') };
    return train(sessions, { ...launch, params }, GPU!);
  };

  for (const fault of ['lost', 'invalid']) {
    test(`${fault}: the run fails, names it, keeps nothing of afterwards, and resumes from before`, async () => {
      const { directory } = await run(fault);
      const exit = directory.exit()!;
      expect(exit.outcome, output(directory)).toBe('failed');
      expect(exit.error).toMatchObject({ code: 'deviceFailed', data: { backend: 'webgpu' } });
      const kept = inbox(directory);
      for (const { facts } of kept) {
        expect(facts.step).toBeLessThan(6);
        expect(facts.reasons).not.toContain('exception');
      }
      expect(kept.length).toBeGreaterThan(0);
      // There is no advice to free disk space.
      expect(events(directory).flatMap((event) => (event.type === 'notice' ? event.code : []))).toEqual([]);
      const again = makeLaunch({ module: 'device-faults.ts', params: { fault: '' }, ...ON_GPU });
      const resumed = await train(join(temporaryFolder(), 'sessions'), resumeFrom(again, kept.at(-1)!), GPU!);
      expect(resumed.directory.exit()?.outcome, output(resumed.directory)).toBe('completed');
    });
  }

  test('a tensor above what it binds is refused where it is made, with its shape, and the state before is saved', async () => {
    const { directory } = await run('tensor');
    const exit = directory.exit()!;
    expect(exit.error).toMatchObject({ code: 'tensorTooLarge', data: { bytes: 40_000 * 8_000 * 4 } });
    expect(exit.error!.message).toContain('[40000, 8000]');
    expect(inbox(directory).at(-1)!.facts).toMatchObject({ step: 5, reasons: ['exception'] });
  });

  test('weights above it are refused by name, before any step', async () => {
    const { directory } = await run('weights');
    expect(directory.exit()!.error).toMatchObject({ code: 'tensorTooLarge' });
    expect(directory.exit()!.error!.message).toMatch(/^large with the shape \[40000, 8000\]/);
    expect(losses(directory)).toEqual([]);
  });

  test('software is no GPU unless a test says so; the package alone is not enough', async () => {
    const sessions = join(temporaryFolder(), 'sessions');
    const launch = makeLaunch({ module: 'device-faults.ts', ...ON_GPU });
    const { directory } = await train(sessions, launch, { VK_DRIVER_FILES: GPU!.VK_DRIVER_FILES! });
    expect(directory.exit()!.error).toMatchObject({
      code: 'backendUnavailable',
      data: { reason: expect.stringContaining('SwiftShader') },
    });
    const none = await train(sessions, { ...launch, session: 'nodriver' }, { VK_DRIVER_FILES: '/nowhere.json' });
    expect(none.directory.exit()!.error!.message).toMatch(/no GPU was found/);
  });
});

const MAX_GROWTH = { heapBytes: 2 << 20, residentBytes: 40 << 20 };
const BACKENDS = {
  wasm: {},
  'wasm with two threads': { backendOptions: { from: null, threads: 2 } },
  'webgpu, by SwiftShader': ON_GPU,
};

/** Steps at which memory is measured: SwiftShader needs ten times as long for each. */
const MEASURED = { at: [300, 700], epochs: 71 };
const MEASURED_ON_GPU = FULL ? MEASURED : { at: [150, 300], epochs: 31 };

describe('hundreds of steps more hold what there was before', () => {
  for (const [name, backend] of sample(Object.entries(BACKENDS))) {
    test.skipIf(name.startsWith('webgpu') && !GPU)(
      name,
      async () => {
        const sessions = temporaryFolder();
        const file = join(sessions, 'memory.ndjson');
        const launch = makeLaunch({
          module: 'memory.ts',
          params: { file, ...(name.startsWith('webgpu') ? MEASURED_ON_GPU : MEASURED) },
          checkpoint: { ...EACH_TWO, everySteps: 50 },
          ...backend,
        });
        const { directory } = await train(sessions, launch, GPU ?? {});
        expect(directory.exit()?.outcome, output(directory)).toBe('completed');
        const [early, late] = readFileSync(file, 'utf8')
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line));
        expect(late).toMatchObject({ numTensors: early.numTensors, numBytesInGPU: early.numBytesInGPU });
        expect(late.heapUsed - early.heapUsed).toBeLessThan(MAX_GROWTH.heapBytes);
        // Freed pages are returned late: only steady growth gets here.
        expect(late.rss - early.rss).toBeLessThan(MAX_GROWTH.residentBytes);
      },
      150_000,
    );
  }
});
