import rules from './rules/packages.json' with { type: 'json' };

/**
 * The Python packages whose versions decide the numbers of a training, as `importlib.metadata` names them: a checkpoint
 * records them, and a resume compares them.
 */
export const COMPARED_PACKAGES: readonly string[] = rules.packages;
