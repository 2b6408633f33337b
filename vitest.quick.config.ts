/** `npm run test:quick`: all tests but those of these files, each of which takes more than a few seconds. */
import { mergeConfig } from 'vitest/config';
import config from './vitest.config.js';

const SLOW = [
  'cli/{calibrate,codec,eval,faults,lossless,model,no-telemetry,photo,rd,rd-page,sample,streams,train,verify}',
  'codec/{abort,block-coder,decode,encoder-output,engines,golden,lossless,rate-distortion,sections,tail-search}',
  'model/{bound-direct,denoiser,interpolation,import/network,training/trainer}',
  'report/{baselines,progressive-sweep,theory}',
  'data/fetch-package',
  'image/contact-sheet',
  'public-api',
  'fuzz',
  'web/{agreement,example,page}',
];

export default mergeConfig(config, { test: { exclude: SLOW.map((files) => `test/${files}.test.ts`) } });
