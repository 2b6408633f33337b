/**
 * Two test files run at a time, on the two available cores. Tests and the processes that they start are shown a machine with one core. So
 * engines that are not told a number of threads use one, and do not compete for the other core. (With four threads on two cores,
 * training a tiny network took five times the CPU time, because waiting threads spin.) Tests of threads state how many they want.
 */

import { syncBuiltinESMExports } from 'node:module';
import os from 'node:os';

os.availableParallelism = () => 1;
syncBuiltinESMExports();
