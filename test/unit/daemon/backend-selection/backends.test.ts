import { describe, expect, test } from 'vitest';
import { chooseFastest, rejectionsOf } from '../../../../daemon/backend-selection/choose.ts';
import type { BackendFinding } from '../../../../protocol/backends.ts';

function finding(backend: BackendFinding['backend'], stepMs: number | null, more: Partial<BackendFinding> = {}) {
  return {
    backend,
    threads: 1,
    from: null,
    missing: null,
    environment: {},
    problem: null,
    stepMs,
    unsupported: [],
    triedAt: 0,
    ...more,
  };
}

describe('of what was tried', () => {
  test('the fastest is taken, and the line says beside whom', () => {
    const chosen = chooseFastest([finding('webgpu', 3.14), finding('wasm', 40)])!;
    expect(chosen.finding.backend).toBe('webgpu');
    expect(chosen.reason).toBe('3.1 ms for a step of the trial; wasm takes 40');
  });

  test('a GPU that computes wrongly is not, however fast it is', () => {
    const wrong = finding('webgpu', 1, { problem: 'it computes softmax wrongly' });
    const chosen = chooseFastest([wrong, finding('wasm', 40)])!;
    expect(chosen.finding.backend).toBe('wasm');
    expect(chosen.reason).toContain('webgpu was rejected, because it computes softmax wrongly');
  });

  test('threads are taken when they win clearly', () => {
    const threads = (stepMs: number) => chooseFastest([finding('wasm', 40), finding('wasm', stepMs, { threads: 4 })])!;
    expect(threads(39).finding.threads).toBe(1);
    expect(threads(20)).toMatchObject({
      finding: { threads: 4 },
      reason: 'with 4 threads 20 ms for a step of the trial; wasm takes 40',
    });
  });

  test('nothing is chosen where nothing can be used, and what is only missing is no rejection', () => {
    const missing = finding('webgpu', null, {
      problem: 'the npm package "webgpu" is not installed',
      missing: 'webgpu',
    });
    expect(chooseFastest([missing])).toBeNull();
    expect(rejectionsOf([missing])).toBe('');
  });
});
