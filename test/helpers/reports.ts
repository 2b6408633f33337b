/** Results of a report without what differs between runs: times, the machine, and the name of the part. */
export function timeless(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (key, one) => (/seconds|^machine$|^encode$|^decode$/i.test(key) ? undefined : one)),
  );
}
