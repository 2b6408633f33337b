/** A decoder that takes bytes as they arrive. */
import { Readable } from 'node:stream';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import type { DecoderOptions, DecoderPoint, EncodeOptions } from '../../src/codec/api.js';
import { decode } from '../../src/codec/decoder/decode.js';
import { type Decoder, openDecoder } from '../../src/codec/decoder/decoder.js';
import { encode } from '../../src/codec/encoder/encoder.js';
import { readInfo } from '../../src/codec/format/info.js';
import { readLayout } from '../../src/codec/format/layout.js';
import { CHECKSUM_BITS, sectionsOf } from '../../src/codec/format/sections.js';
import type { CodecModel } from '../../src/codec/model.js';
import { counting } from '../helpers/blur-model.js';
import { noiseImage, openNoiseModel } from '../helpers/noise-model.js';

const image = noiseImage(24, 20);
let model: CodecModel;
const files = new Map<string, Uint8Array>();

const KINDS: Readonly<Record<string, EncodeOptions>> = {
  lossy: { targetRmse: 20 },
  checked: { targetRmse: 20, checksums: true, metadata: { comment: 'a' } },
  lossless: { lossless: true, effort: 1 },
  'lossless and checked': { lossless: true, effort: 1, checksums: true, metadata: { comment: 'b' } },
};

beforeAll(async () => {
  model = await openNoiseModel();
  for (const [kind, options] of Object.entries(KINDS)) files.set(kind, (await encode(image, model, options)).bytes);
});

/** A point's data, with its picture. */
async function told(point: DecoderPoint) {
  const { reconstruct: _, ...rest } = point;
  const { unrounded: __, ...picture } = await point.reconstruct();
  return { ...rest, ...picture };
}

/** All points of a file that arrives in pieces. */
async function pointsOf(pieces: Iterable<Uint8Array>, options?: DecoderOptions, by = model) {
  const decoder = openDecoder(by, options);
  const points: Awaited<ReturnType<typeof told>>[] = [];
  for (const piece of pieces) for await (const point of decoder.push(piece)) points.push(await told(point));
  return { decoder, points };
}

function* piecesOf(bytes: Uint8Array, lengths: Iterable<number>): Generator<Uint8Array> {
  let position = 0;
  for (const length of lengths) {
    yield bytes.subarray(position, position + length);
    position += length;
  }
  if (position < bytes.length) yield bytes.subarray(position);
}

const ones = (bytes: Uint8Array) =>
  piecesOf(
    bytes,
    Array.from(bytes, () => 1),
  );

const flip = (bytes: Uint8Array, bit: number) => {
  bytes[bit >>> 3] ^= 128 >> (bit & 7);
};

describe.each(Object.keys(KINDS))('a file that is %s', (kind) => {
  test('gives the same points byte by byte as at once, and the last is what decode gives', async () => {
    const bytes = files.get(kind)!;
    const whole = await pointsOf([bytes]);
    const slow = await pointsOf(ones(bytes));
    // Checksums are left out: when a whole section is present, its points are known to be sound before its last byte is decoded.
    const unchecked = ({ checksum: _, ...point }: (typeof whole.points)[number]) => point;
    expect(slow.points.map(unchecked)).toEqual(whole.points.map(unchecked));
    expect(slow.decoder.state).toEqual({ needs: 'nothing' });
    expect(slow.decoder.metadata).toEqual(KINDS[kind].metadata);
    const { image: picture, stepsUsed, knownSamples, lossless } = await decode(bytes, model);
    expect(whole.points.at(-1)).toMatchObject({ image: picture, stepsUsed, knownSamples, lossless });
  });

  test('in any pieces, too', async () => {
    const bytes = files.get(kind)!;
    const { points } = await pointsOf([bytes]);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 30 }), async (lengths) => {
        const decoder = openDecoder(model);
        const reached: [number, number][] = [];
        for (const piece of piecesOf(bytes, lengths)) {
          for await (const { stepsUsed, bytesUsed } of decoder.push(piece)) reached.push([stepsUsed, bytesUsed]);
        }
        expect(reached).toEqual(points.map(({ stepsUsed, bytesUsed }) => [stepsUsed, bytesUsed]));
      }),
      { numRuns: 10 },
    );
  });

  test('asks the network once for each state, and not for what is not looked at', async () => {
    const bytes = files.get(kind)!;
    const { model: counted, asked } = counting(model);
    await pointsOf(ones(bytes), {}, counted);
    const states = asked.map(({ t }) => t);
    expect(new Set(states).size).toBe(states.length);
    asked.length = 0;
    await decode(bytes, counted);
    expect(asked.map(({ t }) => t)).toEqual(states);
    asked.length = 0;
    const decoder = openDecoder(counted);
    for await (const _ of decoder.push(bytes));
    // xhat0 of the last state is needed only for its picture, or for the samples that follow.
    expect(asked.length).toBe(kind.startsWith('lossless') ? states.length : states.length - 1);
  });

  test('says what it needs, and needs no more than it says', async () => {
    const bytes = files.get(kind)!;
    const decoder = openDecoder(model);
    expect(decoder.state).toEqual({ needs: 'header' });
    let position = 0;
    let steps = 0;
    while (position < bytes.length) {
      const { state } = decoder;
      const more = state.needs === 'step' ? state.bytes : 1;
      expect(more).toBeGreaterThan(0);
      let points = 0;
      for await (const _ of decoder.push(bytes.subarray(position, position + more))) points++;
      position += more;
      if (state.needs !== 'step') continue;
      expect([points, decoder.point!.stepsUsed]).toEqual([1, ++steps]);
      expect(decoder.point!.bytesUsed).toBe(position);
    }
    // Samples follow after few steps: more steps would not improve this model.
    expect(steps).toBeGreaterThan(kind.startsWith('lossless') ? 1 : 5);
    expect(decoder.state).toEqual({ needs: 'nothing' });
    // Bytes after the file's end are ignored.
    for await (const _ of decoder.push(new Uint8Array(10))) throw new Error('a point after the end');
  });

  test('comes from streams of any sort', async () => {
    const bytes = files.get(kind)!;
    const pieces = [...piecesOf(bytes, [1, 3, 40, 200])];
    const whole = await decode(bytes, model);
    async function* generated() {
      yield* pieces;
    }
    const web = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const piece of pieces) controller.enqueue(piece);
        controller.close();
      },
    });
    for (const source of [generated(), web, Readable.from(pieces)]) {
      const { unrounded: _, ...rest } = await decode(source, model);
      const { unrounded: __, ...expected } = whole;
      expect(rest).toEqual(expected);
    }
  });
});

describe('a stream', () => {
  test('gives pictures of the steps that are wanted, and asks the network for no others', async () => {
    const bytes = files.get('lossy')!;
    const counted = counting(model);
    const all = await decode(Readable.from(ones(bytes)), counted.model, { wantsPoint: () => false, onPoint: () => {} });
    const least = counted.asked.length;
    const shown: number[] = [];
    const wanted = { wantsPoint: ({ stepsUsed }: DecoderPoint) => stepsUsed % 3 === 1 };
    await decode(Readable.from(ones(bytes)), counted.model, {
      ...wanted,
      onPoint: ({ stepsUsed }) => void shown.push(stepsUsed),
    });
    expect(shown.slice(0, -1)).toEqual(shown.slice(0, -1).filter((step) => step % 3 === 1));
    expect(shown.length).toBeGreaterThan(2);
    expect(shown.at(-1)).toBe(all.stepsUsed);
    expect(counted.asked.length - least).toBeGreaterThanOrEqual(least);
  });

  test('is read no further than what is asked for', async () => {
    const bytes = files.get('lossy')!;
    let given = 0;
    async function* slowly() {
      for (const piece of ones(bytes)) {
        given++;
        yield piece;
      }
    }
    const few = await decode(slowly(), model, { maxSteps: 3 });
    expect(few.stepsUsed).toBe(3);
    expect(given).toBe(few.bytesUsed);
    given = 0;
    const short = await decode(slowly(), model, { maxBytes: 60 });
    expect(given).toBe(60);
    expect(short.image).toEqual((await decode(bytes, model, { maxBytes: 60 })).image);
  });

  test('that ends inside the header is refused as such a file is', async () => {
    const bytes = files.get('lossy')!;
    for (const length of [0, 1, 5]) {
      const expected = await decode(bytes.subarray(0, length), model).catch((error: Error) => error.message);
      await expect(decode(Readable.from([bytes.slice(0, length)]), model)).rejects.toThrow(expected as string);
    }
  });

  test('has no length to spread points over', async () => {
    const stream = Readable.from([files.get('lossy')!]);
    await expect(decode(stream, model, { progressivePoints: 3 })).rejects.toThrow(/progressivePoints: .*not a stream/);
  });

  test('shows every step', async () => {
    const bytes = files.get('lossy')!;
    const shown: number[] = [];
    await decode(Readable.from([...ones(bytes)]), model, { onPoint: ({ stepsUsed }) => void shown.push(stepsUsed) });
    const { stepsTotal } = await decode(bytes, model);
    expect(shown).toEqual(Array.from({ length: stepsTotal + 1 }, (_, i) => i));
  });
});

describe('checksums', () => {
  test('make points sure when they come', async () => {
    const bytes = files.get('checked')!;
    const { points } = await pointsOf(ones(bytes));
    const states = points.map(({ checksum }) => checksum);
    expect(states[0]).toBe('passed');
    expect(states.at(-1)).toBe('passed');
    expect(states).toContain('pending');
    expect((await pointsOf([bytes])).points.every(({ checksum }) => checksum === 'passed')).toBe(true);
    expect((await pointsOf([files.get('lossy')!])).points.every(({ checksum }) => checksum === 'none')).toBe(true);
  });

  test('that are wrong end the decoding, and the last good point is named', async () => {
    const bytes = files.get('checked')!;
    const { points } = await pointsOf(ones(bytes));
    const middle = points[Math.floor(points.length / 2)];
    const damaged = bytes.slice();
    damaged[middle.bytesUsed + 1] ^= 8;
    const decoder = openDecoder(model);
    const good: DecoderPoint[] = [];
    const feed = async () => {
      for (const piece of ones(damaged)) for await (const point of decoder.push(piece)) good.push(point);
    };
    const error: Error = await feed().then(
      () => expect.fail('damage was not noticed'),
      (reason) => reason,
    );
    const sure = good.filter(({ checksum }) => checksum === 'passed').at(-1)!;
    expect(error.message).toMatch(new RegExp(`damaged after step ${sure.stepsUsed}, byte ${sure.bytesUsed}:`));
    // It fails in the same way again, whatever follows.
    await expect(decoder.push(bytes).next()).rejects.toBe(error);
    expect(() => decoder.end()).toThrow(error);
    expect([decoder.point, decoder.state]).toEqual([undefined, { needs: 'nothing', failure: error }]);
  });

  test('turn one flipped bit of every section back', async () => {
    const bytes = files.get('checked')!;
    const { image: expected, stepsUsed } = await decode(bytes, model);
    const { boundaries, written } = readLayout(bytes, model);
    const sections = sectionsOf(written);
    expect(sections.length).toBeGreaterThan(1);
    const damaged = bytes.slice();
    for (const [i, { start, end }] of sections.entries()) {
      const length = end + CHECKSUM_BITS - start;
      flip(damaged, 8 * boundaries[0] + start + ((37 * (i + 1)) % length));
    }
    for (const source of [damaged, Readable.from([...ones(damaged)]), Readable.from([damaged])]) {
      const tolerant = await decode(source, model, { tolerant: true });
      expect(tolerant).toMatchObject({ damaged: true, complete: true, stepsUsed, metadata: { comment: 'a' } });
      expect(tolerant.image).toEqual(expected);
    }
    const { points } = await pointsOf([damaged], { tolerant: true });
    expect(points.every(({ checksum }) => checksum === 'passed')).toBe(true);
  });

  test('of headers, too, where all bytes are there', async () => {
    const bytes = files.get('lossy')!;
    const damaged = bytes.slice();
    flip(damaged, 21);
    await expect(decode(damaged, model)).rejects.toThrow(/header is damaged/);
    const { image: expected } = await decode(bytes, model);
    expect(await decode(damaged, model, { tolerant: true })).toMatchObject({ image: expected, damaged: true });
    expect(damaged[2]).not.toBe(bytes[2]);
  });

  test('do not end a decoding that goes over more damage than that', async () => {
    const bytes = files.get('checked')!;
    const { boundaries, written } = readLayout(bytes, model);
    const section = sectionsOf(written)[1];
    const damaged = bytes.slice();
    for (const bit of [3, 50]) flip(damaged, 8 * boundaries[0] + section.start + bit);
    const whole = await decode(damaged, model, { tolerant: true });
    expect(whole).toMatchObject({ damaged: true, complete: true, stepsUsed: written.length });
    const { points, decoder } = await pointsOf(ones(damaged), { tolerant: true });
    expect(decoder.state).toEqual({ needs: 'nothing' });
    expect(points.at(-1)).toMatchObject({ image: whole.image, damaged: true, checksum: 'failed' });
    const before = await decode(damaged, model, { tolerant: true, maxSteps: section.firstStep });
    expect(before.image).toEqual((await decode(bytes, model, { maxSteps: section.firstStep })).image);
  });

  test('of steps that stay wrong leave samples out that are said of the right ones', async () => {
    const bytes = files.get('lossless and checked')!;
    const { boundaries, written } = readLayout(bytes, model);
    const [{ start }] = sectionsOf(written);
    const damaged = bytes.slice();
    flip(damaged, 8 * boundaries[0] + start + 3);
    const repaired = await decode(damaged, model, { tolerant: true });
    expect(repaired).toMatchObject({ lossless: true, damaged: true, image: { data: image.data } });
    flip(damaged, 8 * boundaries[0] + start + 50);
    for (const source of [damaged, Readable.from([...ones(damaged)])]) {
      const kept = await decode(source, model, { tolerant: true });
      expect(kept).toMatchObject({ lossless: false, damaged: true, stepsUsed: written.length, knownSamples: 0 });
    }
  });
});

describe('what follows the steps', () => {
  test('is no hindrance if it is metadata of a damaged length', async () => {
    const bytes = files.get('checked')!;
    const damaged = bytes.slice();
    damaged[readLayout(bytes, model).boundaries.at(-1)!] |= 0x80;
    for (const options of [{}, { tolerant: true }, { maxSteps: 3 }, { maxBytes: 60 }]) {
      const { image: expected, damaged: isDamaged } = await decode(bytes, model, options);
      const found = await decode(damaged, model, options);
      expect(found).toMatchObject({ image: expected, damaged: isDamaged, metadataDamaged: true, trailingBytes: 0 });
      expect([found.complete, found.metadata]).toEqual([false, undefined]);
    }
    const { image: expected } = await decode(bytes, model);
    for (const pieces of [[damaged], ones(damaged), [damaged, bytes]]) {
      const found = await decode(Readable.from(pieces), model);
      expect(found).toMatchObject({ image: expected, complete: false, damaged: false, trailingBytes: 0 });
      expect([found.metadataDamaged, found.metadata]).toEqual([true, undefined]);
    }
    expect(readInfo(damaged, model)).toMatchObject({ damaged: ['metadata'], complete: false, trailingBytes: 0 });
  });

  test('is not looked at if it is a damaged tail and steps alone are wanted', async () => {
    const bytes = files.get('lossless')!;
    const { boundaries, written } = readLayout(bytes, model);
    const end = boundaries.at(-1)!;
    const damaged = bytes.slice();
    damaged[end] |= 0x20;
    for (const options of [{ maxSteps: 1 }, { maxSteps: written.length }, { maxBytes: end }, { maxBytes: end - 1 }]) {
      const { image: expected } = await decode(bytes, model, options);
      expect((await decode(damaged, model, options)).image).toEqual(expected);
    }
    let steps = 0;
    const onPoint = () => void steps++;
    await expect(decode(damaged, model, { onPoint })).rejects.toThrow(/the tail is damaged/);
    expect(steps).toBe(0);
    expect(() => readInfo(damaged, model)).toThrow(/the tail is damaged/);
  });
});

describe('points', () => {
  test('are of the moment', async () => {
    const decoder = openDecoder(model);
    const points: DecoderPoint[] = [];
    for await (const point of decoder.push(files.get('lossy')!)) points.push(point);
    await expect(points[2].reconstruct()).rejects.toThrow(/before the decoder goes on/);
    expect((await points.at(-1)!.reconstruct()).image.width).toBe(24);
  });

  test('can be left for the next push', async () => {
    const bytes = files.get('lossy')!;
    const decoder = openDecoder(model);
    decoder.push(bytes.subarray(0, 100));
    const first = decoder.push(bytes.subarray(100));
    await first.next();
    await expect(decoder.push(new Uint8Array()).next()).rejects.toThrow(/points of the push before/);
    for await (const _ of first);
    expect(decoder.state).toEqual({ needs: 'nothing' });
  });

  test.each(['sample', 1] as const)('are reconstructed with realism %s without touching the chain', async (realism) => {
    const bytes = files.get('lossy')!;
    const decoder: Decoder = openDecoder(model);
    for await (const point of decoder.push(bytes)) if (point.stepsUsed === 4) await point.reconstruct(realism);
    const { image: expected } = await decode(bytes, model);
    expect((await decoder.end().reconstruct()).image).toEqual(expected);
    const cut = await decode(bytes, model, { maxSteps: 4, realism });
    expect(cut.stepsUsed).toBe(4);
  });

  test('are right whatever comes while one is made', async () => {
    const { bytes } = await encode(noiseImage(40, 40), model, { targetRmse: 3, effort: 1 });
    expect(bytes.length).toBeGreaterThan(2000);
    const expected = await decode(bytes, model);
    // So many bytes arrive at once that waiting bytes are moved and others take their place.
    const { boundaries } = readLayout(bytes, model);
    const first = boundaries.findIndex((boundary) => boundary > 700);
    let pushes = 0;
    const denoiser: CodecModel['denoiser'] = {
      ...model.denoiser,
      async predictX0(picture, options) {
        while (isReady && pushes < 2) {
          const from = boundaries[first] + 350 * pushes++;
          decoder.push(bytes.subarray(from, from + 350));
        }
        return model.denoiser.predictX0(picture, options);
      },
    };
    const decoder = openDecoder({ ...model, denoiser });
    let isReady = false;
    for await (const _ of decoder.push(bytes.subarray(0, boundaries[first - 1])));
    isReady = true;
    for await (const _ of decoder.push(bytes.subarray(boundaries[first - 1], boundaries[first])));
    expect(pushes).toBe(2);
    for await (const _ of decoder.push(bytes.subarray(boundaries[first] + 700)));
    expect((await decoder.end().reconstruct()).image).toEqual(expected.image);
    expect(decoder.state).toEqual({ needs: 'nothing' });
  });

  test('take a copy of the bytes', async () => {
    const bytes = files.get('lossy')!;
    const mine = bytes.slice();
    const decoder = openDecoder(model);
    const points = decoder.push(mine);
    mine.fill(0);
    for await (const _ of points);
    expect((await decoder.end().reconstruct()).image).toEqual((await decode(bytes, model)).image);
  });
});

test('pictures that are asked for while the decoder goes on are right or refused, and change nothing', async () => {
  const bytes = files.get('lossy')!;
  const expected = await pointsOf([bytes]);
  // As slow as a network, so that requests arrive while others wait.
  const denoiser: CodecModel['denoiser'] = {
    ...model.denoiser,
    async predictX0(picture, options) {
      await new Promise((resolve) => setImmediate(resolve));
      return model.denoiser.predictX0(picture, options);
    },
  };
  const decoder = openDecoder({ ...model, denoiser });
  const asked: Promise<unknown>[] = [];
  const outcomes: string[] = [];
  for await (const point of decoder.push(bytes)) {
    for (const one of [point, decoder.point!]) {
      const { image: right } = expected.points[point.stepsUsed];
      asked.push(
        one.reconstruct().then(
          ({ image: picture }) => outcomes.push(Buffer.from(picture.data).equals(right.data) ? 'right' : 'wrong'),
          (error: Error) => outcomes.push(/before the decoder goes on/.test(error.message) ? 'refused' : error.message),
        ),
      );
    }
  }
  const last = await decoder.end().reconstruct();
  await Promise.all(asked);
  expect(last.image).toEqual(expected.points.at(-1)!.image);
  expect(outcomes.filter((outcome) => outcome !== 'right' && outcome !== 'refused')).toEqual([]);
  expect(outcomes.length).toBe(2 * expected.points.length);
});

test('what is not bytes, a stream, a picture or an option is refused', async () => {
  const decoder = openDecoder(model);
  for (const wrong of [new ArrayBuffer(4), 5, 'abc', undefined]) {
    expect(() => decoder.push(wrong as unknown as Uint8Array)).toThrow(/push: expected a Uint8Array/);
  }
  for (const wrong of ['x.ddc', new ArrayBuffer(4), null, [1, 2]]) {
    await expect(decode(wrong as unknown as Uint8Array, model)).rejects.toThrow(
      /source: expected a Uint8Array or a stream/,
    );
  }
  await expect(decode(Readable.from(['text']), model)).rejects.toThrow(/stream: expected chunks that are Uint8Arrays/);
  const bytes = files.get('lossy')!;
  for (const progressivePoints of [-1, Number.NaN, 5e9]) {
    await expect(decode(bytes, model, { progressivePoints })).rejects.toThrow(/progressivePoints: expected/);
  }
  for await (const point of decoder.push(bytes)) {
    await expect(point.reconstruct('bogus' as 'sample')).rejects.toThrow(/realism: expected/);
    break;
  }
  for (const [width, height, length] of [
    [4, 4, 3],
    [2.5, 2, 15],
    [0, 4, 0],
  ]) {
    await expect(encode({ width, height, data: new Uint8Array(length) }, model)).rejects.toThrow(/image/);
  }
  expect((await decode(bytes, model, { maxBytes: Number.POSITIVE_INFINITY })).complete).toBe(true);
  const stream = () => Readable.from([bytes]);
  expect((await decode(stream(), model, { maxSteps: 999 })).complete).toBe(true);
  await expect(decode(stream(), model, { maxBytes: 5 })).rejects.toThrow(
    /`maxBytes`: expected at least the bytes of the header/,
  );
});

test('a file in 1000 pieces costs what it costs whole', async () => {
  const bytes = files.get('lossless')!;
  const length = Math.max(1, Math.floor(bytes.length / 1000));
  const { model: counted, asked } = counting(model);
  const decoder = openDecoder(counted);
  for (const piece of piecesOf(
    bytes,
    Array.from({ length: 1000 }, () => length),
  ))
    for await (const _ of decoder.push(piece));
  const inPieces = asked.length;
  asked.length = 0;
  await decode(bytes, counted);
  expect(inPieces).toBe(asked.length);
});
