/** The encoder's choice of a pace: no plan leaves a picture with the error of an evaluation long ago. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { paceFor } from '../../src/codec/encoder/plan-choice.js';
import { createPlan, expectedErrors } from '../../src/codec/format/plan.js';
import type { Engine } from '../../src/engine/engine.js';
import { openEngine } from '../../src/node/engine/index.js';
import { type Model, openModel } from '../../src/node/models.js';

const SIZE = { width: 768, height: 512 };
const STATE_BITS = 11;

describe('paceFor', () => {
  let engine: Engine;
  let model: Model;
  beforeAll(async () => {
    engine = await openEngine('onnx');
    model = await openModel('photo2', engine);
  });
  afterAll(async () => {
    await model.dispose();
    await engine.dispose();
  });

  const chosen = (first: number, second: number, detail: number, effort: number, targetRmse: number) => {
    const wish = { selection: 'greedy', effort, targetRmse, stateBits: STATE_BITS } as const;
    const { parameters } = paceFor({ ...SIZE, detail }, model, { first, second }, wish);
    const steps = createPlan(model, parameters, STATE_BITS, { ...SIZE, detail });
    return { pace: parameters.pace, errors: expectedErrors(model.profile, first, second), steps };
  };

  // At effort 1 the longest pace would ask the network for the last time at t = 223 and 93. With an earlier network, which it
  // asked last at 217 and 103, files were 10 and 3 times as long.
  it.each([
    [-13, 3, 0],
    [4, 2, 3],
  ])('takes a shorter pace than its effort has for the photograph at %i, %i of detail %i', (first, second, detail) => {
    const { pace, steps } = chosen(first, second, detail, 1, 3);
    expect(pace).toBe(6);
    expect(Math.min(...steps.filter(({ asks }) => asks).map(({ s }) => s))).toBeLessThan(30);
  });

  // Where they may ask for the last time at four times the target's squared error, a photograph stayed at an RMSE of 6.9 with a target of 5.
  it('makes plans that ask the network near the target, for all kinds of pictures', () => {
    for (const effort of [1, 3, 5, 7, 9]) {
      for (const targetRmse of [3, 10]) {
        for (let first = -16; first <= 8; first += 4) {
          for (const second of [-2, 0, 2]) {
            for (const detail of [0, 3]) {
              const { steps, errors } = chosen(first, second, detail, effort, targetRmse);
              const least = Math.min(...steps.filter(({ asks }) => asks).map(({ s }) => errors[s]));
              expect((127.5 / targetRmse) ** 2 * least).toBeLessThanOrEqual(2);
            }
          }
        }
      }
    }
  });
});
