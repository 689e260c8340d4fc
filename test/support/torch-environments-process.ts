/** Makes the environments that all runs need, while their parent installs Debian's packages. */
import { currentTorch, optuna } from '../../scripts/python-environments.ts';

currentTorch(true);
optuna(true);
