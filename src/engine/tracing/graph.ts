/** Building an ONNX model (opset 17) node by node. */
import onnxProto from 'onnx-proto';
import type { Precision, Shape } from '../engine.js';

const { onnx } = onnxProto;

/** Name of a value in the graph. */
export type ValueName = string;
export type Attribute = number | string | readonly number[];

const FLOAT = 1;
const INT64 = 7;
const FLOAT16 = 10;
const OPSET = 17;
/** ONNX Runtime's own operators; part of every build of it. */
const CONTRIB = 'com.microsoft';
/** Small constants are shared by value, so that nodes that compute the same are seen to be the same. */
const SHARED_FLOATS = 4096;
const IR_VERSION = 8;
/** The attributes of ONNX that are floats even where their value is whole. */
const FLOAT_ATTRIBUTES = new Set(['alpha', 'beta', 'epsilon']);

/** Where a network's time goes, and what GPUs have units of half precision for. */
const PRODUCTS = new Set(['Conv', 'Gemm', 'MatMul']);

export class GraphBuilder {
  private readonly nodes: object[] = [];
  private readonly initializers: object[] = [];
  private readonly inputs: object[] = [];
  private readonly outputs: object[] = [];
  private readonly integers = new Map<string, ValueName>();
  private readonly sharedFloats = new Map<string, ValueName>();
  private count = 0;

  /** @param precision what products are computed in; all values between nodes are float32 */
  constructor(private readonly precision: Precision = 'fp32') {}

  /** Adds a node with one output. An empty name stands for an optional input that is left out. */
  node(operator: string, inputs: readonly ValueName[], attributes: Record<string, Attribute> = {}): ValueName {
    const add = (names: readonly ValueName[]) => this.nodeOutputs(operator, names, attributes, 1)[0];
    if (this.precision === 'fp32' || !PRODUCTS.has(operator)) return add(inputs);
    // Of weights ONNX Runtime makes constants in half precision when it loads the graph.
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
    const key = `${shape}:${Buffer.from(bytes).toString('base64')}`;
    const name = this.sharedFloats.get(key) ?? this.initializer(FLOAT, shape, bytes);
    this.sharedFloats.set(key, name);
    return name;
  }

  /** A constant vector of 64-bit integers, as shapes and axes are given; equal ones are shared. */
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
    this.inputs.push(floatValueInfo(name, shape));
    return name;
  }

  output(name: ValueName, value: ValueName, shape: Shape): void {
    this.nodes.push({ opType: 'Identity', input: [value], output: [name], attribute: [] });
    this.outputs.push(floatValueInfo(name, shape));
  }

  /** The model as protobuf bytes. */
  serialize(): Uint8Array {
    const model = onnx.ModelProto.create({
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
    return onnx.ModelProto.encode(model).finish();
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

function encodeAttribute(name: string, value: Attribute): object {
  if (typeof value === 'string') return { name, type: 3, s: new TextEncoder().encode(value) };
  if (typeof value !== 'number') return { name, type: 7, ints: value };
  return FLOAT_ATTRIBUTES.has(name) ? { name, type: 1, f: value } : { name, type: 2, i: value };
}

function floatValueInfo(name: ValueName, shape: Shape): object {
  const dim = shape.map((dimValue) => ({ dimValue }));
  return { name, type: { tensorType: { elemType: FLOAT, shape: { dim } } } };
}
