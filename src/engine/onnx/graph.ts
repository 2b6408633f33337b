/**
 * An ONNX graph under construction.
 *
 * Values carry their dimensions and type, so that kernels can reason about them. Three things happen on the way, because
 * they are cheap here and not reliably done by the runtime: equal nodes are made once (autodiff recomputes much), constants
 * are transposed and reshaped on the spot, and a constant enters the file only if a node uses it.
 */
import { sizeOf, stridesOf } from './shapes.js';

export type ElementType = 'float32' | 'int32' | 'int64' | 'bool';
export type ElementArray = Float32Array | Int32Array | BigInt64Array | Uint8Array;

export interface GraphValue {
  readonly name: string;
  readonly dims: readonly number[];
  readonly type: ElementType;
  /** Row-major; present for constants only. */
  readonly data?: ElementArray;
}

export type AttributeValue = number | { readonly float: number } | readonly number[] | string;

export interface GraphNode {
  readonly op: string;
  /** '' is the ONNX standard domain. */
  readonly domain: string;
  /** Null: an optional input left out. */
  readonly inputs: readonly (GraphValue | null)[];
  readonly outputs: readonly GraphValue[];
  readonly attributes: Readonly<Record<string, AttributeValue>>;
}

/** What a node makes. */
export interface NodeOutput {
  readonly dims: readonly number[];
  readonly type: ElementType;
}

/** Domain of ONNX Runtime's own operators. */
export const MICROSOFT_DOMAIN = 'com.microsoft';

export class Graph {
  readonly inputs: GraphValue[] = [];
  readonly outputs: GraphValue[] = [];
  readonly nodes: GraphNode[] = [];
  /** Constants that at least one node uses. */
  readonly initializers = new Set<GraphValue>();
  private readonly known = new Map<string, readonly GraphValue[]>();
  private readonly smallConstants = new Map<string, GraphValue>();
  private count = 0;

  input(dims: readonly number[], type: ElementType = 'float32'): GraphValue {
    const value = { name: `input${this.inputs.length}`, dims, type };
    this.inputs.push(value);
    return value;
  }

  /** Marks a value as the next output. The copy lets one value be two outputs, or an input be one. */
  output(value: GraphValue): void {
    const copy = { name: `output${this.outputs.length}`, dims: value.dims, type: value.type };
    this.append({ op: 'Identity', domain: '', inputs: [value], outputs: [copy], attributes: {} });
    this.outputs.push(copy);
  }

  constant(data: ElementArray, dims: readonly number[], type: ElementType): GraphValue {
    const key = data.length <= 16 ? `${type}|${dims}|${data}` : undefined;
    const known = key === undefined ? undefined : this.smallConstants.get(key);
    if (known) return known;
    const value = { name: `constant${this.count++}`, dims, type, data };
    if (key !== undefined) this.smallConstants.set(key, value);
    return value;
  }

  /** A vector of int64: the form in which ONNX wants shapes, axes and pads. */
  indices(values: readonly number[]): GraphValue {
    return this.constant(BigInt64Array.from(values, BigInt), [values.length], 'int64');
  }

  scalar(value: number): GraphValue {
    return this.constant(Float32Array.of(value), [], 'float32');
  }

  /** Appends a node with one output, or finds the one that computes the same already. */
  node(
    op: string,
    inputs: readonly (GraphValue | null)[],
    output: NodeOutput,
    attributes: Readonly<Record<string, AttributeValue>> = {},
    domain = '',
  ): GraphValue {
    return this.multiNode(op, inputs, [output], attributes, domain)[0];
  }

  /** Appends a node with any number of outputs. */
  multiNode(
    op: string,
    inputs: readonly (GraphValue | null)[],
    outputs: readonly NodeOutput[],
    attributes: Readonly<Record<string, AttributeValue>> = {},
    domain = '',
  ): readonly GraphValue[] {
    const key = JSON.stringify([domain, op, inputs.map((value) => value?.name ?? ''), attributes, outputs]);
    const known = this.known.get(key);
    if (known) return known;
    const values = outputs.map(({ dims, type }) => ({ name: `value${this.count++}`, dims, type }));
    this.append({ op, domain, inputs, outputs: values, attributes });
    this.known.set(key, values);
    return values;
  }

  /** The value with axis `permutation[i]` as its axis i. */
  transpose(value: GraphValue, permutation: readonly number[]): GraphValue {
    const dims = permutation.map((axis) => value.dims[axis]);
    if (permutation.every((axis, i) => axis === i)) return value;
    if (movesOnlyUnits(value.dims, permutation)) return this.reshape(value, dims);
    if (value.data) return this.constant(transposeData(value.data, value.dims, permutation), dims, value.type);
    return this.node('Transpose', [value], { dims, type: value.type }, { perm: permutation });
  }

  /** The value with the same elements in the same order and other dimensions. */
  reshape(value: GraphValue, dims: readonly number[]): GraphValue {
    if (sizeOf(dims) !== sizeOf(value.dims)) throw new Error(`Cannot reshape [${value.dims}] to [${dims}]`);
    if (dims.length === value.dims.length && dims.every((d, i) => d === value.dims[i])) return value;
    if (value.data) return this.constant(value.data, dims, value.type);
    return this.node('Reshape', [value, this.indices(dims)], { dims, type: value.type });
  }

  private append(node: GraphNode): void {
    for (const value of node.inputs) if (value?.data) this.initializers.add(value);
    this.nodes.push(node);
  }
}

/** Whether a permutation leaves the order of the axes longer than 1 alone, so that no element moves. */
function movesOnlyUnits(dims: readonly number[], permutation: readonly number[]): boolean {
  const moved = permutation.filter((axis) => dims[axis] !== 1);
  return moved.every((axis, i) => i === 0 || moved[i - 1] < axis);
}

function transposeData(data: ElementArray, dims: readonly number[], permutation: readonly number[]): ElementArray {
  const result = data.slice();
  const strides = stridesOf(dims);
  const steps = permutation.map((axis) => strides[axis]);
  const limits = permutation.map((axis) => dims[axis]);
  const position = new Array<number>(dims.length).fill(0);
  for (let to = 0, from = 0; to < data.length; to++) {
    result[to] = data[from];
    for (let axis = dims.length - 1; axis >= 0; axis--) {
      from += steps[axis];
      if (++position[axis] < limits[axis]) break;
      from -= steps[axis] * limits[axis];
      position[axis] = 0;
    }
  }
  return result;
}
