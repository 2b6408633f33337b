/** A queue of bytes that have arrived but are not used yet. */

const LEAST_CAPACITY = 1024;

export class ByteQueue {
  private buffer = new Uint8Array(LEAST_CAPACITY);
  private start = 0;
  private end = 0;

  /** Number of bytes in the queue. */
  get length(): number {
    return this.end - this.start;
  }

  /** A view of the bytes, valid until the next call of another method. */
  view(): Uint8Array {
    return this.buffer.subarray(this.start, this.end);
  }

  /** Takes a copy of more bytes. */
  append(bytes: Uint8Array): void {
    if (this.end + bytes.length > this.buffer.length) this.makeRoom(bytes.length);
    this.buffer.set(bytes, this.end);
    this.end += bytes.length;
  }

  /** Removes and returns the first `count` bytes, or all there are if fewer. */
  take(count: number): Uint8Array {
    const taken = this.view().slice(0, count);
    this.drop(taken.length);
    return taken;
  }

  /** Drops the first `count` bytes. */
  drop(count: number): void {
    this.start += count;
  }

  /** At least doubles the capacity, so that many small pieces cost no more than one large piece. */
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
