/** Models by URL, kept in the browser's Cache Storage. */
import { array, number, object, string } from 'valibot';
import { bandFile, type ReadBand } from '../codec/bands.js';
import { type CodecConfig, describeModel, type Model, type ModelDescription, openDescribed } from '../codec/model.js';
import { hexSha256 } from '../common/bytes.js';
import { CodecError } from '../common/errors.js';
import { checked, isObject, parseJson } from '../common/foreign.js';
import type { Engine } from '../engine/engine.js';
import type { Size } from '../image/image.js';
import type { DownloadProgress } from './codec.js';

/** A file of a model. */
export interface ModelFile {
  readonly name: string;
  readonly bytes: number;
  /** Hex. */
  readonly sha256: string;
}

/** Where a model is to be had. */
export interface ModelSource {
  readonly name: string;
  /** Hex SHA-256, as `ddpm-codec model info` says it. */
  readonly id: string;
  /** Of the directory, with a slash at its end. */
  readonly url: string;
  readonly files: readonly ModelFile[];
}
