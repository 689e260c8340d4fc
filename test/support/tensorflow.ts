/** The real TensorFlow for the tests of its backend: that of the Keras environment, or of `TRAINSTASH_TEST_TENSORFLOW`. */
import { dirname } from 'node:path';
import { findTensorFlow, type TensorFlow } from '../../daemon/backend-selection/tensorflow.ts';
import { frameworkPython, frameworks } from '../../scripts/python-environments.ts';

/** Returns null on machines that cannot have it; the reason was printed when the environments were made. */
export function realTensorFlow(): TensorFlow | null {
  const { TRAINSTASH_TEST_TENSORFLOW: chosen } = process.env;
  if (chosen) return findTensorFlow([], { VIRTUAL_ENV: chosen }, '');
  if (!frameworks().some(({ name }) => name === 'keras')) return null;
  const { python } = frameworkPython('keras', false);
  return python === null ? null : findTensorFlow([], { VIRTUAL_ENV: dirname(dirname(python)) }, '');
}
