import { testFramework } from '../../support/framework-tests.ts';

await testFramework('lightning');
