import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  blockCapacity,
  createPlan,
  expectedErrors,
  LOADS,
  PACES,
  type PlanModel,
  type PlannedStep,
  type PlanParameters,
} from '../../src/codec/format/plan.js';
import { jumpKlBits } from '../../src/model/schedule.js';
import { loadModelInfo } from '../../src/node/models.js';

const { schedule, profile } = await loadModelInfo('pilot');

const PLAIN: PlanParameters = { first: 0, second: 0, load: 0, pace: 0 };

const parameters: fc.Arbitrary<PlanParameters> = fc.record({
  first: fc.integer({ min: -64, max: 63 }),
  second: fc.integer({ min: -8, max: 7 }),
  load: fc.nat(LOADS.length - 1),
  pace: fc.nat(PACES.length - 1),
});

const plan = (p: PlanParameters, stateBits: number, dimensions: number) =>
  createPlan({ schedule, profile }, p, stateBits, { width: dimensions / 3, height: 1 });

const totalBits = (steps: readonly PlannedStep[]) =>
  steps.reduce((sum, { blocks, blockBits }) => sum + blocks * blockBits, 0);

test('a plan is a chain from T down without gaps, with whole blocks in every step', () => {
  fc.assert(
    fc.property(
      parameters,
      fc.integer({ min: 4, max: 16 }),
      fc.integer({ min: 1, max: 10 ** 6 }).map((pixels) => 3 * pixels),
      (p, stateBits, dimensions) => {
        const steps = plan(p, stateBits, dimensions);
        const bad = steps.find(
          ({ t, s, blocks, blockBits }, i) =>
            t !== (i === 0 ? schedule.timesteps : steps[i - 1].s) ||
            !(s < t && s >= 1) ||
            !(Number.isInteger(blocks) && blocks >= 1) ||
            !(blockBits >= stateBits + 4 && (blockBits - stateBits) % 4 === 0) ||
            // Never more than about a bit per dimension and step, except for the shortest block.
            blocks * blockBits > 1.4 * dimensions + 64,
        );
        expect(bad).toBeUndefined();
      },
    ),
    { numRuns: 200 },
  );
});

test('with a stop the plan is the same up to the step that would go past it, which ends there', () => {
  fc.assert(
    fc.property(
      parameters,
      fc.integer({ min: 4, max: 16 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (p, stateBits, at) => {
        const size = { width: 200, height: 100 };
        const free = createPlan({ schedule, profile }, p, stateBits, size);
        const index = Math.floor(at * (free.length - 1));
        const { t, s } = free[index];
        const stop = Math.floor((t + s) / 2);
        const stopped = createPlan({ schedule, profile }, p, stateBits, size, stop);
        expect(stopped.slice(0, index)).toEqual(free.slice(0, index));
        const step = stopped[index];
        // A step of less than half the smallest step is left out.
        if (step === undefined) return;
        expect(step).toMatchObject({ t, s: stop });
        expect(step.blocks * step.blockBits).toBeLessThanOrEqual(free[index].blocks * free[index].blockBits);
      },
    ),
    { numRuns: 200 },
  );
});

test('the plan of an average image is the recorded one', () => {
  // Recorded from createPlan. Files depend on it. It may change only with the model's codec.json.
  const steps = plan(PLAIN, 12, 3072);
  expect(steps.slice(0, 3)).toEqual([
    { t: 1000, s: 591, blocks: 1, blockBits: 20, asks: true },
    { t: 591, s: 480, blocks: 1, blockBits: 20, asks: true },
    { t: 480, s: 400, blocks: 1, blockBits: 20, asks: true },
  ]);
  expect(steps.slice(-2)).toEqual([
    { t: 3, s: 2, blocks: 1, blockBits: 588, asks: true },
    { t: 2, s: 1, blocks: 2, blockBits: 628, asks: true },
  ]);
  expect([steps.length, totalBits(steps)]).toEqual([66, 4872]);
});

test('plans of all loads and paces, of small pictures and large ones, are the recorded ones', () => {
  // A decoder elsewhere must make the same plan from the same parameters. Recorded from createPlan, as above. Its arithmetic is the
  // same on every machine.
  const hash = createHash('sha256');
  for (const load of LOADS.keys()) {
    for (const pace of PACES.keys()) {
      for (const [first, second, stateBits, dimensions] of [
        [0, 0, 12, 3072],
        [-64, 7, 4, 3],
        [63, -8, 16, 105],
        [17, 3, 9, 500 * 333 * 3],
        [-30, -2, 8, 4096 * 4096 * 3],
      ]) {
        for (const { t, s, blocks, blockBits } of plan({ first, second, load, pace }, stateBits, dimensions)) {
          hash.update(`${t} ${s} ${blocks} ${blockBits}\n`);
        }
        hash.update('\n');
      }
    }
  }
  expect(hash.digest('hex')).toBe('27825d50466eb38243b6b32c60324e4180485a78a645edc9fcad54ccf90436c9');
});

test('plans with updates and smaller sizes are the recorded ones', async () => {
  // Recorded as above. They do not change: `photo` is released.
  const photo = await loadModelInfo('photo');
  const hash = createHash('sha256');
  for (const pace of PACES.keys()) {
    for (const [first, second, width, height, detail] of [
      [0, 0, 768, 512, 1],
      [-20, 3, 500, 333, 2],
      [12, -2, 90, 120, 0],
    ]) {
      const steps = createPlan(photo, { first, second, load: 0, pace }, 13, { width, height, detail });
      expect(steps.some(({ asks }) => !asks)).toBe(pace > 0);
      for (const { t, s, blocks, blockBits, asks } of steps) hash.update(`${t} ${s} ${blocks} ${blockBits} ${asks}\n`);
    }
  }
  expect(hash.digest('hex')).toBe('8a79de8afd4aa53af9dde2c5039cf923805209013216b20d6d145b0455238914');
});

test('blocks deliver the expected KL', () => {
  for (const dimensions of [3072, 500 * 333 * 3]) {
    const errors = expectedErrors(profile, 0, 0);
    for (const [load, share] of LOADS.entries()) {
      const steps = plan({ ...PLAIN, load }, 12, dimensions);
      const kl = steps.reduce((sum, { t, s }) => sum + jumpKlBits(schedule, t, s, errors[t] * dimensions), 0);
      const delivered = steps.reduce((sum, { blocks, blockBits }) => sum + blocks * blockCapacity(blockBits, 12), 0);
      // Rounding remainders are carried over, so only the last one is lost: half a symbol of each block.
      const { blocks } = steps.at(-1)!;
      expect(Math.abs(kl / share - delivered)).toBeLessThanOrEqual(2 * blocks + 1e-6);
    }
  }
});

test('no block is longer than a path that is searched at once', () => {
  for (const { blockBits } of plan({ ...PLAIN, pace: 4 }, 8, 4096 * 4096 * 3)) {
    expect(blockBits).toBeGreaterThan(900);
    expect(blockBits).toBeLessThanOrEqual(1032);
  }
});

test('expected errors are powers of two of the profile in 1/256', () => {
  const errors = expectedErrors(profile, 5, -2);
  expect(errors[schedule.timesteps]).toBe(0.25);
  for (let t = 1; t < schedule.timesteps; t++) {
    const log = profile.mean[t - 1] + 5 * profile.components[0][t - 1] - 2 * profile.components[1][t - 1];
    expect(errors[t] / 2 ** (log / 256)).toBeCloseTo(1, 12);
  }
});

test('harder images get more bits, a slower pace fewer steps', () => {
  expect(totalBits(plan({ ...PLAIN, first: 20 }, 12, 3072))).toBeGreaterThan(totalBits(plan(PLAIN, 12, 3072)));
  expect(totalBits(plan({ ...PLAIN, first: -20 }, 12, 3072))).toBeLessThan(totalBits(plan(PLAIN, 12, 3072)));
  const large = 500 * 333 * 3;
  const lengths = PACES.map((_, pace) => plan({ ...PLAIN, pace }, 8, large).length);
  for (let i = 1; i < lengths.length; i++) expect(lengths[i]).toBeLessThanOrEqual(lengths[i - 1]);
  expect(lengths.at(-1)).toBeLessThan(lengths[0] / 2);
});

test.each([
  ['1x1', 3],
  ['4096x4096', 4096 * 4096 * 3],
])('the plan of a %s image looks at every timestep once: its work does not grow with the picture', (_, dimensions) => {
  let reads = 0;
  const snr = new Proxy(schedule.snr, {
    get(target, key) {
      reads++;
      return Reflect.get(target, key);
    },
  });
  const size = { width: dimensions / 3, height: 1 };
  const steps = createPlan({ schedule: { ...schedule, snr }, profile }, PLAIN, 8, size);
  expect(steps.length).toBeLessThan(schedule.timesteps);
  // The KL and the waste of a jump to this timestep each read the snr at both ends.
  expect(reads).toBeLessThanOrEqual(4 * (schedule.timesteps - 1));
  expect(reads).toBeGreaterThan(schedule.timesteps / 2);
});

test.each([
  [{ first: 64 }, /plan first: expected an integer from -64 to 63, got 64/],
  [{ second: -9 }, /plan second: expected an integer from -8 to 7, got -9/],
  [{ load: 2 }, /plan load: expected 0 or 1, got 2/],
  [{ pace: 8 }, /plan pace: expected an integer from 0 to 7, got 8/],
  [{ first: 0.5 }, /plan first/],
])('parameters out of range are refused: %o', (wrong, message) => {
  expect(() => plan({ ...PLAIN, ...wrong }, 12, 3072)).toThrow(message);
});

test('steps at which a picture is denoised at half its size are shorter, and the rest stays as it is', () => {
  const halfFrom = 250;
  // With this detail, halving begins there.
  const size = { width: 512, height: 512, detail: 3 };
  const of = (model: PlanModel) => createPlan(model, { ...PLAIN, pace: 4 }, 9, size);
  const [plain, halved] = [of({ schedule, profile }), of({ schedule, profile, pyramid: { halfFrom, leastSide: 65 } })];
  const noisy = (steps: readonly PlannedStep[]) => steps.filter(({ t }) => t >= halfFrom).length;
  expect(noisy(halved)).toBeGreaterThan(1.3 * noisy(plain));
  // Waste grows with the square of a step, so steps with a quarter of the waste are half as long. Halving happens twice at most.
  expect(noisy(halved)).toBeLessThan(4.5 * noisy(plain));
  const rest = halved.length - noisy(halved) - (plain.length - noisy(plain));
  expect(Math.abs(rest)).toBeLessThanOrEqual(1);
});

describe('of a model with an update', () => {
  const size = { width: 512, height: 512 };
  const of = (pace: number, updates: boolean) =>
    createPlan({ schedule, profile, updates }, { ...PLAIN, pace }, 9, size);

  test('the network is asked after fewer steps, and there are more of them', () => {
    const [plain, updated] = [of(5, false), of(5, true)];
    const asked = updated.filter(({ asks }) => asks);
    expect(plain.every(({ asks }) => asks)).toBe(true);
    expect(updated.length).toBeGreaterThan(1.3 * plain.length);
    expect(asked.length).toBeLessThan(0.9 * plain.length);
    expect(asked.length).toBeGreaterThan(plain.length / 3);
  });

  test('the network is asked after the first step and in much noise, and from then on the less often the less noise there is', () => {
    const steps = of(5, true);
    for (const { t, asks } of steps) if (t > 0.6 * schedule.timesteps) expect(asks).toBe(true);
    const share = (part: readonly PlannedStep[]) => part.filter(({ asks }) => asks).length / part.length;
    const updated = steps.filter(({ t }) => t < 0.6 * schedule.timesteps);
    const half = Math.floor(updated.length / 2);
    expect(share(updated.slice(half))).toBeLessThan(share(updated.slice(0, half)));
  });

  test('of the shortest steps it is asked after each: there is no waste to save', () => {
    expect(of(0, true).every(({ asks }) => asks)).toBe(true);
  });

  test('shorter steps ask more often', () => {
    const asked = PACES.map((_, pace) => of(pace, true).filter(({ asks }) => asks).length);
    for (let pace = 1; pace < asked.length; pace++) expect(asked[pace]).toBeLessThan(asked[pace - 1]);
  });
});
