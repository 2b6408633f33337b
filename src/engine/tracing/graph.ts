/** Building an ONNX model (opset 17) node by node. */
import type { Precision, Shape } from '../engine.js';
import {
  type AttributeProto,
  encodeModel,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from './onnx-messages.js';

/** Name of a value in the graph. */
export type ValueName = string;
export type Attribute = number | string | readonly number[];

const FLOAT = 1;
const INT64 = 7;
const FLOAT16 = 10;
const OPSET = 17;
/** ONNX Runtime's own operators; every build of it has them. */
const CONTRIB = 'com.microsoft';
/** Small constants with equal values are shared, so that identical nodes can be recognised as such. */
const SHARED_FLOATS = 4096;
const IR_VERSION = 8;
/** ONNX attributes that are floats even where their value is an integer. */
const FLOAT_ATTRIBUTES = new Set(['alpha', 'beta', 'epsilon']);

/** The operators that take most of a network's time, and for which GPUs have half-precision units. */
const PRODUCTS = new Set(['Conv', 'Gemm', 'MatMul']);

export class GraphBuilder {
  private readonly nodes: NodeProto[] = [];
  private readonly initializers: TensorProto[] = [];
  private readonly inputs: ValueInfoProto[] = [];
  private readonly outputs: ValueInfoProto[] = [];
  private readonly integers = new Map<string, ValueName>();
  /** By shape and hash. */
  private readonly sharedFloats = new Map<string, { readonly bits: Uint32Array; readonly name: ValueName }[]>();
  private count = 0;

  /** @param precision number format of products; all values between nodes are float32 */
  constructor(private readonly precision: Precision = 'fp32') {}

  /** Adds a node with one output. An empty name stands for an omitted optional input. */
  node(operator: string, inputs: readonly ValueName[], attributes: Record<string, Attribute> = {}): ValueName {
    const add = (names: readonly ValueName[]) => this.nodeOutputs(operator, names, attributes, 1)[0];
    if (this.precision === 'fp32' || !PRODUCTS.has(operator)) return add(inputs);
    // ONNX Runtime folds the casts of weights into half-precision constants when it loads the graph.
    return this.cast(add(inputs.map((name) => this.cast(name, FLOAT16))), FLOAT);
  }

  /** Adds a node of one of ONNX Runtime's own operators. */
  contrib(operator: string, inputs: readonly ValueName[], attributes: Record<string, Attribute> = {}): ValueName {
    return this.nodeOutputs(operator, inputs, attributes, 1, CONTRIB)[0];
  }

  /** Adds a node with several outputs. */
  nodeOutputs(
    operator: string,
    inputs: readonly ValueName[],
    attributes: Record<string, Attribute>,
    outputs: number,
    domain = '',
  ): ValueName[] {
    const names = Array.from({ length: outputs }, () => this.fresh('v'));
    this.nodes.push({
      opType: operator,
      domain,
      input: inputs,
      output: names,
      attribute: Object.entries(attributes).map(([name, value]) => encodeAttribute(name, value)),
    });
    return names;
  }

  /** A constant float tensor. */
  floats(shape: Shape, values: Float32Array): ValueName {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    if (values.length > SHARED_FLOATS) return this.initializer(FLOAT, shape, bytes);
    // Compared by their bits, because 0 and -0 are equal as numbers.
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
    const key = `${shape}:${hashOf(bits)}`;
    const alike = this.sharedFloats.get(key) ?? [];
    const same = alike.find((shared) => shared.bits.every((word, i) => word === bits[i]));
    if (same) return same.name;
    const name = this.initializer(FLOAT, shape, bytes);
    this.sharedFloats.set(key, [...alike, { bits, name }]);
    return name;
  }

  /** A constant vector of 64-bit integers, for shapes and axes; equal vectors are shared. */
  integersOf(values: readonly number[]): ValueName {
    const key = values.join();
    let name = this.integers.get(key);
    if (name === undefined) {
      const bytes = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
      name = this.initializer(INT64, [values.length], bytes);
      this.integers.set(key, name);
    }
    return name;
  }

  input(name: ValueName, shape: Shape): ValueName {
    this.inputs.push({ name, elemType: FLOAT, shape });
    return name;
  }

  output(name: ValueName, value: ValueName, shape: Shape): void {
    this.nodes.push({ opType: 'Identity', input: [value], output: [name], attribute: [] });
    this.outputs.push({ name, elemType: FLOAT, shape });
  }

  /** The model as protobuf bytes. */
  serialize(): Uint8Array {
    return encodeModel({
      irVersion: IR_VERSION,
      opsetImport: [
        { domain: '', version: OPSET },
        { domain: CONTRIB, version: 1 },
      ],
      graph: {
        name: 'traced',
        node: this.nodes,
        initializer: this.initializers,
        input: this.inputs,
        output: this.outputs,
      },
    });
  }

  private cast(name: ValueName, to: number): ValueName {
    return this.nodeOutputs('Cast', [name], { to }, 1)[0];
  }

  private initializer(dataType: number, dims: Shape, rawData: Uint8Array): ValueName {
    const name = this.fresh('c');
    this.initializers.push({ name, dims, dataType, rawData });
    return name;
  }

  private fresh(prefix: string): ValueName {
    return `${prefix}${this.count++}`;
  }
}

function encodeAttribute(name: string, value: Attribute): AttributeProto {
  if (typeof value === 'string') return { name, type: 3, s: new TextEncoder().encode(value) };
  if (typeof value !== 'number') return { name, type: 7, ints: value };
  return FLOAT_ATTRIBUTES.has(name) ? { name, type: 1, f: value } : { name, type: 2, i: value };
}

/** The FNV-1a hash of Fowler, Noll and Vo, over words instead of bytes. */
function hashOf(words: Uint32Array): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < words.length; i++) hash = Math.imul(hash ^ words[i], 0x01000193);
  return hash;
}
