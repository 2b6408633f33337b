/** `npm run test:quick`: all tests but those of these files, each of which takes more than a few seconds. */
import { mergeConfig } from 'vitest/config';
import config from './vitest.config.js';

const SLOW = [
  'cli/{calibrate,codec,device,doctor,eval,faults,lossless,lost,model,model-add,no-telemetry,photo,sample,streams}',
  'cli/{rd,rd-foreign,rd-metrics,rd-page,rd-realism,rd-seeds,train,train-band,train-update,transparency,verify}',
  'codec/{abort,any-picture,block-coder,decode,encoder-output,engines,golden,lossless,progress}',
  'codec/{rate-distortion,sections,tail-search}',
  'engine/gpu-choice',
  'model/{bands,bound-direct,denoiser,interpolation,import/network,training/trainer}',
  'report/{baselines,progressive-sweep,theory}',
  'data/{download,fetch-package}',
  'node/{default-models,foreign-models}',
  'image/contact-sheet',
  'public-api',
  'fuzz',
  'web/{agreement,example,page,stream}',
];

export default mergeConfig(config, { test: { exclude: SLOW.map((files) => `test/${files}.test.ts`) } });
