import type { Proof } from '../../protocol/domain.ts';
import type { Overlap } from '../store/overlap.ts';

const FACTS = [
  'framework',
  'backend',
  'torch',
  'numpy',
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

/** What bits depend on. A proof holds for this, and for no other. */
export function proofFingerprint(environment: Record<string, string>): string {
  return FACTS.flatMap((name) => (environment[name] === undefined ? [] : [`${name} ${environment[name]}`])).join(', ');
}

/** A difference in an overlap does not tell why: `verify` does. Until then it counts as not deterministic. */
export function proofOf(overlap: Overlap, environment: Record<string, string>): Proof {
  return {
    kind: 'overlap',
    verdict: overlap.equal === overlap.steps ? 'equal' : 'not deterministic',
    steps: overlap.equal,
    fingerprint: proofFingerprint(environment),
    at: Date.now(),
  };
}
