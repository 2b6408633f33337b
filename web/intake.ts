/** Files that are chosen, dropped or pasted. */
import { input } from './elements.js';

export function onFile(take: (file: File) => void): void {
  const choose = input('choose');
  choose.addEventListener('change', () => {
    const [file] = choose.files ?? [];
    if (file) take(file);
    // Allows choosing the same file again.
    choose.value = '';
  });
  document.addEventListener('dragover', (event) => {
    event.preventDefault();
    document.body.classList.add('dropping');
  });
  document.addEventListener('dragleave', (event) => {
    if (event.relatedTarget === null) document.body.classList.remove('dropping');
  });
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    document.body.classList.remove('dropping');
    const [file] = event.dataTransfer?.files ?? [];
    if (file) take(file);
  });
  document.addEventListener('paste', (event) => {
    const [file] = event.clipboardData?.files ?? [];
    if (file) take(file);
  });
}
