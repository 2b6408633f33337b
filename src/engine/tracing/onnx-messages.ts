/**
 * The messages of an ONNX model that are used here, and their encoding as protobuf. Names and field numbers are those
 * of https://github.com/onnx/onnx/blob/v1.10.2/onnx/onnx.proto3, with names in camel case.
 */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { concat } from '../../common/bytes.js';

export interface ModelProto {
  readonly irVersion: number;
  readonly graph: GraphProto;
  readonly opsetImport: readonly { readonly domain: string; readonly version: number }[];
}

export interface GraphProto {
  readonly node: readonly NodeProto[];
  readonly name: string;
  /** Constants. */
  readonly initializer: readonly TensorProto[];
  readonly input: readonly ValueInfoProto[];
  readonly output: readonly ValueInfoProto[];
}

export interface NodeProto {
  /** Names of values; empty for an omitted optional input. */
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly opType: string;
  readonly attribute?: readonly AttributeProto[];
  /** Empty or absent for ONNX's own operators. */
  readonly domain?: string;
}

/** The type decides which field holds the value, 1: `f`, 2: `i`, 3: `s`, 7: `ints`. */
export type AttributeProto = { readonly name: string } & (
  | { readonly type: 1; readonly f: number }
  | { readonly type: 2; readonly i: number }
  | { readonly type: 3; readonly s: Uint8Array }
  | { readonly type: 7; readonly ints: readonly number[] }
);

/** The values are in `rawData`, little-endian; those of a float tensor may be in `floatData` instead. */
export interface TensorProto {
  readonly name: string;
  readonly dims: readonly number[];
  readonly dataType: number;
  readonly floatData?: readonly number[];
  readonly rawData?: Uint8Array;
}

/** A tensor's name, element type and shape; an unknown dimension has a name. */
export interface ValueInfoProto {
  readonly name: string;
  readonly elemType: number;
  readonly shape: readonly (number | string)[];
}

/**
 * Encodes an ONNX file. Constants may fill most of the memory, so their values are copied only once: the messages
 * around them stay lists of pieces until the end.
 */
export function encodeModel({ irVersion, graph, opsetImport }: ModelProto): Uint8Array {
  return concat(
    piece((writer) => int(writer, 1, irVersion)),
    ...messageOf(7, graphPieces(graph)),
    piece((writer) => {
      for (const { domain, version } of opsetImport) {
        message(writer, 8, () => {
          string(writer, 1, domain);
          int(writer, 2, version);
        });
      }
    }),
  );
}

function graphPieces({ node, name, initializer, input, output }: GraphProto): Uint8Array[] {
  return [
    piece((writer) => {
      for (const each of node) message(writer, 1, () => encodeNode(writer, each));
      string(writer, 2, name);
    }),
    ...initializer.flatMap((tensor) => messageOf(5, tensorPieces(tensor))),
    piece((writer) => {
      for (const each of input) message(writer, 11, () => encodeValueInfo(writer, each));
      for (const each of output) message(writer, 12, () => encodeValueInfo(writer, each));
    }),
  ];
}

function tensorPieces({ dims, dataType, floatData, name, rawData }: TensorProto): Uint8Array[] {
  const head = piece((writer) => {
    ints(writer, 1, dims);
    int(writer, 2, dataType);
    if (floatData) {
      message(writer, 4, () => {
        for (const value of floatData) writer.float(value);
      });
    }
    string(writer, 8, name);
  });
  return rawData ? [head, ...messageOf(9, [rawData])] : [head];
}

function encodeNode(writer: BinaryWriter, { input, output, opType, attribute = [], domain }: NodeProto): void {
  for (const name of input) string(writer, 1, name);
  for (const name of output) string(writer, 2, name);
  string(writer, 4, opType);
  for (const each of attribute) message(writer, 5, () => encodeAttribute(writer, each));
  if (domain !== undefined) string(writer, 7, domain);
}

function encodeAttribute(writer: BinaryWriter, attribute: AttributeProto): void {
  string(writer, 1, attribute.name);
  if (attribute.type === 1) writer.tag(2, WireType.Bit32).float(attribute.f);
  else if (attribute.type === 2) int(writer, 3, attribute.i);
  else if (attribute.type === 3) writer.tag(4, WireType.LengthDelimited).bytes(attribute.s);
  else ints(writer, 8, attribute.ints);
  int(writer, 20, attribute.type);
}

/** TypeProto, Tensor, TensorShapeProto and Dimension messages, nested in this order. */
function encodeValueInfo(writer: BinaryWriter, { name, elemType, shape }: ValueInfoProto): void {
  string(writer, 1, name);
  message(writer, 2, () =>
    message(writer, 1, () => {
      int(writer, 1, elemType);
      message(writer, 2, () => {
        for (const size of shape) message(writer, 1, () => encodeDimension(writer, size));
      });
    }),
  );
}

function encodeDimension(writer: BinaryWriter, size: number | string): void {
  if (typeof size === 'number') int(writer, 1, size);
  else string(writer, 2, size);
}

function message(writer: BinaryWriter, field: number, encode: () => void): void {
  writer.tag(field, WireType.LengthDelimited).fork();
  encode();
  writer.join();
}

/** A signed integer of any protobuf type: all are encoded alike. */
function int(writer: BinaryWriter, field: number, value: number): void {
  writer.tag(field, WireType.Varint).int64(value);
}

function string(writer: BinaryWriter, field: number, value: string): void {
  writer.tag(field, WireType.LengthDelimited).string(value);
}

/** Writes nothing for an empty list. */
function ints(writer: BinaryWriter, field: number, values: readonly number[]): void {
  if (values.length === 0) return;
  message(writer, field, () => {
    for (const value of values) writer.int64(value);
  });
}

function piece(encode: (writer: BinaryWriter) => void): Uint8Array {
  const writer = new BinaryWriter();
  encode(writer);
  return writer.finish();
}

/** A field made of pieces: a message, or bytes. */
function messageOf(field: number, pieces: readonly Uint8Array[]): Uint8Array[] {
  return [piece((writer) => writer.tag(field, WireType.LengthDelimited).uint32(lengthOf(pieces))), ...pieces];
}

function lengthOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, { length }) => sum + length, 0);
}
