/** The part of npm's own configuration loader that is used; it brings no types. */
declare module '@npmcli/config' {
  export default class Config {
    constructor(options: {
      npmPath: string;
      definitions: object;
      shorthands: object;
      flatten: (from: object, to: object) => object;
      argv?: readonly string[];
      cwd?: string;
    });
    load(): Promise<void>;
    /** Options as npm's libraries take them: registry, proxy, credentials. */
    readonly flat: Record<string, unknown>;
  }
}
declare module '@npmcli/config/lib/definitions/index.js' {
  const definitions: {
    readonly definitions: object;
    readonly shorthands: object;
    flatten(from: object, to: object): object;
  };
  export default definitions;
}
