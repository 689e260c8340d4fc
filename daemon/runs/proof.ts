import type { Proof } from '../../protocol/domain.ts';
import type { Overlap } from '../store/catalog/overlap.ts';

const FACTS = [
  'framework',
  'backend',
  'tensorflow',
  'library',
  'flags',
  'torch',
  'numpy',
  'keras',
  'keras backend',
  'tensorflow',
  'tensorflow-cpu',
  'jax',
  'jaxlib',
  'paddlepaddle',
  'python',
  'cuda',
  'cudnn',
  'tf32',
  'device',
  'platform',
  'node',
  'threads',
  'simd',
  'world',
];

/** Lists the facts that the bits depend on. A proof holds for these, and for no others. */
export function proofFingerprint(environment: Record<string, string>): string {
  return FACTS.flatMap((name) => (environment[name] === undefined ? [] : [`${name} ${environment[name]}`])).join(', ');
}

/**
 * Makes a proof from an overlap. A difference does not show its cause; until `verify` finds it, it counts as not
 * deterministic.
 */
export function proofOf(overlap: Overlap, environment: Record<string, string>): Proof {
  return {
    kind: 'overlap',
    verdict: overlap.equal === overlap.steps ? 'equal' : 'not deterministic',
    steps: overlap.equal,
    fingerprint: proofFingerprint(environment),
    at: Date.now(),
  };
}
