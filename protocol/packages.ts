import rules from './rules/packages.json' with { type: 'json' };

/**
 * Python packages whose versions affect the numbers of a training, as `importlib.metadata` names them. A checkpoint records
 * the versions, and a resume compares them.
 */
export const COMPARED_PACKAGES: readonly string[] = rules.packages;
