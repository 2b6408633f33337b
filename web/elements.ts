/** Elements of the page by their ids. */

/** @throws Error where the page has no element of this id and type */
export function element<T extends Element>(id: string, type: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`#${id} is missing`);
  return found;
}

export const html = (id: string) => element(id, HTMLElement);
export const input = (id: string) => element(id, HTMLInputElement);
export const button = (id: string) => element(id, HTMLButtonElement);
export const canvas = (id: string) => element(id, HTMLCanvasElement);
