/**
 * Two test files run at a time, on the two cores that there are: to tests and to the processes that they start the machine has one, so
 * that engines that are not told how many threads to have take one, and do not fight for the other. (Four threads on two cores
 * cost training a tiny network five times the CPU time, since those that wait spin.) Tests of threads say how many they want.
 */

import { syncBuiltinESMExports } from 'node:module';
import os from 'node:os';

os.availableParallelism = () => 1;
syncBuiltinESMExports();
