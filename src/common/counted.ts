/** A number of things, in words: "1 image", "2 images". @param noun whose plural ends in s */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
