/** Feature networks as ONNX files, small enough to know what they give. */
import onnxProto from 'onnx-proto';

const { onnx } = onnxProto;
const FLOAT = 1;

/** A dimension: its size, or a name where it is open. */
type Dimension = number | string;

export interface NetworkDescription {
  readonly input: readonly Dimension[];
  /** Element type of the input; default float. */
  readonly inputType?: number;
  readonly nodes: readonly {
    readonly opType: string;
    readonly input: readonly string[];
    readonly output: readonly string[];
    readonly attribute?: readonly object[];
  }[];
  readonly constants?: Readonly<
    Record<string, { readonly dims: readonly number[]; readonly values: readonly number[] }>
  >;
  readonly outputs: Readonly<Record<string, readonly Dimension[]>>;
}

/** The bytes of an ONNX file (opset 17) of a network whose input is called `images`. */
export function onnxFile({ input, inputType = FLOAT, nodes, constants = {}, outputs }: NetworkDescription): Uint8Array {
  const model = onnx.ModelProto.create({
    irVersion: 8,
    opsetImport: [{ domain: '', version: 17 }],
    graph: {
      name: 'features',
      node: nodes as object[],
      initializer: Object.entries(constants).map(([name, { dims, values }]) => ({
        name,
        dims: [...dims],
        dataType: FLOAT,
        floatData: [...values],
      })),
      input: [valueInfo('images', input, inputType)],
      output: Object.entries(outputs).map(([name, shape]) => valueInfo(name, shape, FLOAT)),
    },
  });
  return onnx.ModelProto.encode(model).finish();
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

function valueInfo(name: string, shape: readonly Dimension[], elemType: number): object {
  const dim = shape.map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size }));
  return { name, type: { tensorType: { elemType, shape: { dim } } } };
}
