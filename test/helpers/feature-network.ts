/** Feature networks as ONNX files, small enough to know what they give. */
import { encodeModel, type NodeProto } from '../../src/engine/tracing/onnx-messages.js';

const FLOAT = 1;

/** A dimension: its size, or a name where it is open. */
type Dimension = number | string;

export interface NetworkDescription {
  readonly input: readonly Dimension[];
  /** Element type of the input; default float. */
  readonly inputType?: number;
  readonly nodes: readonly NodeProto[];
  readonly constants?: Readonly<
    Record<string, { readonly dims: readonly number[]; readonly values: readonly number[] }>
  >;
  readonly outputs: Readonly<Record<string, readonly Dimension[]>>;
}

/** The bytes of an ONNX file (opset 17) of a network whose input is called `images`. */
export function onnxFile({ input, inputType = FLOAT, nodes, constants = {}, outputs }: NetworkDescription): Uint8Array {
  return encodeModel({
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    graph: {
      name: 'features',
      node: nodes,
      initializer: Object.entries(constants).map(([name, { dims, values }]) => ({
        name,
        dims,
        dataType: FLOAT,
        floatData: values,
      })),
      input: [{ name: 'images', elemType: inputType, shape: input }],
      output: Object.entries(outputs).map(([name, shape]) => ({ name, elemType: FLOAT, shape })),
    },
  });
}

/** Mean red, green and blue, 0..1, of [N, 3, H, W]; with `classes` their softmax over as many, by a matrix. */
export function meanColourNetwork(input: readonly Dimension[], logits?: readonly (readonly number[])[]): Uint8Array {
  const [batch] = input;
  const classes = logits?.[0].length ?? 0;
  return onnxFile({
    input,
    nodes: [
      { opType: 'GlobalAveragePool', input: ['images'], output: ['pooled'] },
      { opType: 'Flatten', input: ['pooled'], output: ['features'] },
      ...(logits ? [{ opType: 'MatMul', input: ['features', 'weights'], output: ['logits'] }] : []),
    ],
    ...(logits && { constants: { weights: { dims: [3, classes], values: logits.flat() } } }),
    outputs: { features: [batch, 3], ...(logits && { logits: [batch, classes] }) },
  });
}
