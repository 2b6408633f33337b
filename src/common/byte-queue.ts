/** Bytes that have come and were not used yet. */

const LEAST_CAPACITY = 1024;

export class ByteQueue {
  private buffer = new Uint8Array(LEAST_CAPACITY);
  private start = 0;
  private end = 0;

  /** Bytes that are there. */
  get length(): number {
    return this.end - this.start;
  }

  /** A view of them, good until the next call of another method. */
  view(): Uint8Array {
    return this.buffer.subarray(this.start, this.end);
  }

  /** Takes a copy of more bytes. */
  append(bytes: Uint8Array): void {
    if (this.end + bytes.length > this.buffer.length) this.makeRoom(bytes.length);
    this.buffer.set(bytes, this.end);
    this.end += bytes.length;
  }

  /** The first ones, or as many as there are, and forgets them. */
  take(count: number): Uint8Array {
    const taken = this.view().slice(0, count);
    this.drop(taken.length);
    return taken;
  }

  /** Forgets the first ones. */
  drop(count: number): void {
    this.start += count;
  }

  /** At least doubles what is held, so that many small pieces cost no more than one. */
  private makeRoom(more: number): void {
    const held = this.view();
    const needed = held.length + more;
    const larger = needed > this.buffer.length / 2 ? new Uint8Array(2 * needed) : this.buffer;
    larger.set(held);
    this.buffer = larger;
    this.start = 0;
    this.end = held.length;
  }
}
