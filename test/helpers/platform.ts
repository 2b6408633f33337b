/** Pretends that the tests run on another platform. */
const own = Object.getOwnPropertyDescriptor(process, 'platform')!;

/** @param name as `process.platform` has it; by default the real one again */
export function pretendPlatform(name: NodeJS.Platform = own.value): void {
  Object.defineProperty(process, 'platform', { ...own, value: name });
}
