/** The settings for encoding on the page. */
import type { BrowserEncodeOptions } from 'ddpm-codec/browser';
import { element, html, input } from './elements.js';

const form = element('settings', HTMLFormElement);
const effort = input('effort');

effort.addEventListener('input', () => {
  html('effort-value').textContent = effort.value;
});
for (const name of ['rmse', 'bytes']) {
  input(name).addEventListener('input', () => {
    element(`settings`, HTMLFormElement).querySelector<HTMLInputElement>(`input[value=${name}]`)!.checked = true;
  });
}

/** @returns undefined where a number is invalid; the browser has reported it */
export function readSettings(): BrowserEncodeOptions | undefined {
  if (!form.reportValidity()) return undefined;
  return { effort: effort.valueAsNumber, ...stopOf(String(new FormData(form).get('stop'))) };
}

function stopOf(choice: string): BrowserEncodeOptions {
  if (choice === 'lossless') return { lossless: true };
  return choice === 'bytes' ? { maxBytes: input('bytes').valueAsNumber } : { targetRmse: input('rmse').valueAsNumber };
}

/** Calls `listener` when the picture is to be encoded again. */
export function onAgain(listener: () => void): void {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    listener();
  });
}
