/** Serialises a graph as an ONNX model (IR version 8, operator set 17; onnx.proto3). */
import onnxProto from 'onnx-proto';
import type { AttributeValue, ElementType, Graph, GraphNode, GraphValue } from './graph.js';
import { MICROSOFT_DOMAIN } from './graph.js';

const { onnx } = onnxProto;

/** The newest set in which the reductions still take their axes as attributes, which folds better. */
const OPSET = 17;
const IR_VERSION = 8;

/** TensorProto.DataType. */
export const ELEMENT_TYPE_CODES: Readonly<Record<ElementType, number>> = { float32: 1, int32: 6, int64: 7, bool: 9 };

/** The bytes of a `.onnx` file. */
export function encodeModel(graph: Graph): Uint8Array {
  const model = onnx.ModelProto.create({
    irVersion: IR_VERSION,
    producerName: 'ddpm-codec',
    opsetImport: [
      { domain: '', version: OPSET },
      { domain: MICROSOFT_DOMAIN, version: 1 },
    ],
    graph: {
      name: 'traced',
      node: graph.nodes.map(encodeNode),
      initializer: [...graph.initializers].map(encodeInitializer),
      input: graph.inputs.map(encodeValueInfo),
      output: graph.outputs.map(encodeValueInfo),
    },
  });
  return onnx.ModelProto.encode(model).finish();
}

function encodeNode(node: GraphNode) {
  return {
    opType: node.op,
    domain: node.domain,
    input: node.inputs.map((value) => value?.name ?? ''),
    output: node.outputs.map((value) => value.name),
    attribute: Object.entries(node.attributes).map(([name, value]) => encodeAttribute(name, value)),
  };
}

/** AttributeProto.AttributeType. */
const FLOAT = 1;
const INT = 2;
const STRING = 3;
const INTS = 7;

function encodeAttribute(name: string, value: AttributeValue) {
  if (typeof value === 'number') return { name, type: INT, i: value };
  if (typeof value === 'string') return { name, type: STRING, s: new TextEncoder().encode(value) };
  if ('float' in value) return { name, type: FLOAT, f: value.float };
  return { name, type: INTS, ints: [...value] };
}

function encodeInitializer({ name, dims, type, data }: GraphValue) {
  if (!data) throw new Error(`${name} is not a constant`);
  return {
    name,
    dims: [...dims],
    dataType: ELEMENT_TYPE_CODES[type],
    rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  };
}

function encodeValueInfo({ name, dims, type }: GraphValue) {
  const shape = { dim: dims.map((dimValue) => ({ dimValue })) };
  return { name, type: { tensorType: { elemType: ELEMENT_TYPE_CODES[type], shape } } };
}
