/** Saves a file. */
export function save(blob: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // Gives the browser time to begin.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
