/**
 * The part of Python's pickle format that `torch.save` writes for state dicts, and nothing else. Unpickling in Python
 * runs whatever a file names. Here a file can name only the few globals of {@link GLOBALS}, which only make
 * dictionaries or record where a tensor is stored. Any other global is refused by name.
 * (Opcodes: CPython's Lib/pickletools.py; what torch writes: torch/serialization.py.)
 */
import { briefly, CodecError } from '../../common/errors.js';

/** Dictionaries become maps, tuples and lists arrays. */
export type Value = string | number | boolean | null | Value[] | Map<unknown, Value> | Storage | TensorView | Global;

/** A run of numbers elsewhere in the file. */
export class Storage {
  constructor(
    /** Type name as in the safetensors format. */
    readonly dtype: string,
    readonly key: string,
    /** Number of elements. */
    readonly size: number,
  ) {}
}

/** A tensor: a view of a storage. Offset and strides count elements, not bytes. */
export class TensorView {
  constructor(
    readonly storage: Storage,
    readonly offset: number,
    readonly shape: readonly number[],
    readonly strides: readonly number[],
  ) {}
}

class Global {
  constructor(readonly name: string) {}
}

const STORAGES: Readonly<Record<string, string>> = {
  'torch.FloatStorage': 'F32',
  'torch.HalfStorage': 'F16',
  'torch.BFloat16Storage': 'BF16',
  'torch.DoubleStorage': 'F64',
  'torch.LongStorage': 'I64',
  'torch.IntStorage': 'I32',
};

/** The globals that a file may call, and their implementations. */
const GLOBALS: Readonly<Record<string, (args: Value[], spend: (objects: number) => void) => Value>> = {
  'collections.OrderedDict': orderedDict,
  'torch._utils._rebuild_tensor_v2': rebuildTensor,
  'torch._utils._rebuild_parameter': rebuildParameter,
};

const MOST_DIMENSIONS = 8;

/**
 * Limits of a pickle, which leave room for twenty thousand tensors. Every opcode is a byte, and some make objects that
 * take two hundred bytes of memory.
 */
const MOST_BYTES = 2 ** 26;
const MOST_OPCODES = 2 ** 21;
/** Limit of dictionaries, lists, tuples and their copies; and, counted separately, of memo entries. */
const MOST_OBJECTS = 2 ** 18;

/**
 * Reads one pickle.
 * @param start where it begins; others may follow
 * @returns its value, and where it ends
 * @throws CodecError('model') for anything but a well-formed pickle of tensors, dictionaries and plain values
 */
export function readPickle(bytes: Uint8Array, start = 0): { value: Value; end: number } {
  const input = new Input(bytes.subarray(0, start + MOST_BYTES), start);
  let opcodes = 0;
  let objects = 0;
  const spend = (count: number) => {
    objects += count;
    if (objects > MOST_OBJECTS) throw malformed('it has more parts than any list of tensors');
  };
  const stack: Value[] = [];
  const marks: number[] = [];
  const memo = new Map<number, Value>();
  const make = (value: Value) => {
    spend(1);
    stack.push(value);
  };
  const pop = (): Value => {
    if (stack.length === 0 || stack.length === marks.at(-1)) throw malformed('it takes more than there is');
    return stack.pop()!;
  };
  const popToMark = (): Value[] => {
    const mark = marks.pop();
    if (mark === undefined) throw malformed('a mark is missing');
    return stack.splice(mark);
  };
  const top = <T extends Value>(type: abstract new (...args: never[]) => T): T => {
    const value = stack.at(-1);
    if (!(value instanceof type)) throw malformed('an item is added to what cannot hold it');
    return value;
  };
  const recall = (at: number) => {
    if (!memo.has(at)) throw malformed('it refers to what is not there');
    stack.push(memo.get(at)!);
  };
  const setItems = (items: readonly Value[]) => {
    const map = top<Map<unknown, Value>>(Map);
    if (items.length % 2 !== 0) throw malformed('a key is without a value');
    for (let i = 0; i < items.length; i += 2) map.set(items[i], items[i + 1]);
  };

  for (;;) {
    const opcode = input.byte();
    if (++opcodes > MOST_OPCODES) throw malformed('it is longer than any list of tensors');
    switch (String.fromCharCode(opcode)) {
      case '\x80': // PROTO
        input.byte();
        break;
      case '.': // STOP
        return { value: pop(), end: input.at };
      case '(': // MARK
        marks.push(stack.length);
        break;
      case 'N':
        stack.push(null);
        break;
      case '\x88': // NEWTRUE
        stack.push(true);
        break;
      case '\x89': // NEWFALSE
        stack.push(false);
        break;
      case 'J': // BININT
        stack.push(input.int32());
        break;
      case 'K': // BININT1
        stack.push(input.byte());
        break;
      case 'M': // BININT2
        stack.push(input.unsigned(2));
        break;
      case '\x8a': // LONG1
        stack.push(input.long(input.byte()));
        break;
      case 'G': // BINFLOAT
        stack.push(input.float64());
        break;
      case 'X': // BINUNICODE
        stack.push(input.text(input.unsigned(4)));
        break;
      case 'U': // SHORT_BINSTRING
        stack.push(input.text(input.byte()));
        break;
      case '}': // EMPTY_DICT
        make(new Map());
        break;
      case ']': // EMPTY_LIST
      case ')': // EMPTY_TUPLE
        make([]);
        break;
      case 't': // TUPLE
        make(popToMark());
        break;
      case '\x85': // TUPLE1, TUPLE2, TUPLE3
      case '\x86':
      case '\x87':
        make(Array.from({ length: opcode - 0x84 }, pop).reverse());
        break;
      case 's': // SETITEM
        setItems([pop(), pop()].reverse());
        break;
      case 'u': // SETITEMS
        setItems(popToMark());
        break;
      case 'a': {
        // APPEND
        const item = pop();
        top<Value[]>(Array).push(item);
        break;
      }
      case 'e': {
        // APPENDS
        const items = popToMark();
        const list = top<Value[]>(Array);
        for (const item of items) list.push(item);
        break;
      }
      case 'q': // BINPUT
      case 'r': {
        // LONG_BINPUT
        const at = opcode === 0x71 ? input.byte() : input.unsigned(4);
        const value = pop();
        memo.set(at, value);
        if (memo.size > MOST_OBJECTS) throw malformed('it names more than any list of tensors');
        stack.push(value);
        break;
      }
      case 'h': // BINGET
        recall(input.byte());
        break;
      case 'j': // LONG_BINGET
        recall(input.unsigned(4));
        break;
      case 'c': // GLOBAL
        make(allowed(`${input.line()}.${input.line()}`));
        break;
      case 'R': {
        // REDUCE
        const args = pop();
        const callable = pop();
        const call = callable instanceof Global && Object.hasOwn(GLOBALS, callable.name) && GLOBALS[callable.name];
        if (!call || !Array.isArray(args)) throw malformed('it calls what cannot be called');
        make(call(args, spend));
        break;
      }
      case 'b': {
        // BUILD: attributes of a dictionary (torch stores the versions of layers there); not needed here.
        pop();
        top(Map);
        break;
      }
      case 'Q': // BINPERSID
        make(storageOf(pop()));
        break;
      default:
        throw malformed(`opcode 0x${opcode.toString(16)} is none that torch.save writes`);
    }
  }
}

function allowed(name: string): Global {
  if (Object.hasOwn(GLOBALS, name) || Object.hasOwn(STORAGES, name)) return new Global(name);
  throw new CodecError(
    'model',
    `PyTorch file: refused, for it names ${briefly(name)}; only tensors are read. If you trust the file, load it in Python and save its state dict alone: torch.save(model.state_dict(), "weights.pt")`,
  );
}

/** ('storage', type, key, device, size) */
function storageOf(id: Value): Storage {
  const [kind, type, key, , size] = Array.isArray(id) ? id : [];
  const dtype = type instanceof Global && Object.hasOwn(STORAGES, type.name) && STORAGES[type.name];
  if (kind !== 'storage' || !dtype || typeof key !== 'string' || !isSize(size)) {
    throw malformed('it refers to something that is not a storage');
  }
  return new Storage(dtype, key, size);
}

function orderedDict([pairs = []]: Value[], spend: (objects: number) => void): Map<unknown, Value> {
  if (Array.isArray(pairs)) spend(pairs.length);
  if (!Array.isArray(pairs) || !pairs.every((pair) => Array.isArray(pair) && pair.length === 2)) {
    throw malformed('a dictionary is made of something else than pairs');
  }
  return new Map(pairs as [unknown, Value][]);
}

/** (tensor, requires_grad, hooks) */
function rebuildParameter([tensor]: Value[]): TensorView {
  if (!(tensor instanceof TensorView)) throw malformed('a parameter is not a tensor');
  return tensor;
}

/** (storage, offset, shape, strides, requires_grad, hooks) */
function rebuildTensor([storage, offset, shape, strides]: Value[]): TensorView {
  const isSizes = (value: unknown): value is number[] =>
    Array.isArray(value) && value.length <= MOST_DIMENSIONS && value.every(isSize);
  if (!(storage instanceof Storage) || !isSize(offset) || !isSizes(shape) || !isSizes(strides)) {
    throw malformed('a tensor lacks storage, offset, shape or strides');
  }
  if (shape.length !== strides.length) throw malformed('a tensor has not as many strides as dimensions');
  return new TensorView(storage, offset, shape, strides);
}

function isSize(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function malformed(what: string): CodecError {
  return new CodecError('model', `not a well-formed PyTorch file: ${what}`);
}

/** Reads bytes in order, never beyond the end. */
class Input {
  readonly #bytes: Buffer;
  at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = at;
  }

  #skip(count: number): number {
    const from = this.at;
    if (count > this.#bytes.length - from) throw malformed('its pickle is cut off');
    this.at += count;
    return from;
  }

  byte(): number {
    return this.#bytes[this.#skip(1)];
  }

  unsigned(bytes: number): number {
    return this.#bytes.readUIntLE(this.#skip(bytes), bytes);
  }

  int32(): number {
    return this.#bytes.readInt32LE(this.#skip(4));
  }

  float64(): number {
    return this.#bytes.readDoubleBE(this.#skip(8));
  }

  /** An integer of any size in two's complement; beyond 2^53 rounded to the nearest double. */
  long(bytes: number): number {
    const from = this.#skip(bytes);
    let value = 0n;
    for (let i = bytes - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.#bytes[from + i]);
    return Number(BigInt.asIntN(8 * bytes, value));
  }

  text(bytes: number): string {
    const from = this.#skip(bytes);
    return this.#bytes.toString('utf8', from, from + bytes);
  }

  line(): string {
    const from = this.at;
    const end = this.#bytes.indexOf('\n', from);
    if (end < 0) throw malformed('its pickle is cut off');
    this.at = end + 1;
    return this.#bytes.toString('utf8', from, end);
  }
}
