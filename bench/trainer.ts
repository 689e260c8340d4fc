import type { Result } from './measure.ts';
export async function trainerBenchmarks(_folder: string, _dist: string): Promise<Result[]> { return []; }
