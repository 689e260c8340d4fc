import { onTestFinished } from 'vitest';

(globalThis as { trainstashAfterTest?: typeof onTestFinished }).trainstashAfterTest = onTestFinished;
