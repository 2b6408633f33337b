/** Two overlaid pictures with a divider between them. */
import type { RgbImage } from 'ddpm-codec/browser';
import { draw } from './drawing.js';
import { canvas, html, input } from './elements.js';

const frame = html('frame');
const pair = html('pair');
const stage = html('stage');
const divider = input('divider');
const actual = input('actual');
const actualSize = html('actual-size');
const sides = { left: canvas('left-canvas'), right: canvas('right-canvas') };
/** The picture on each side. */
const present: { left?: RgbImage; right?: RgbImage } = {};

/** @param label describes the picture */
export function showSide(side: keyof typeof sides, image: RgbImage, label: string): void {
  sides[side].setAttribute('aria-label', label);
  if (present[side] !== image) {
    present[side] = image;
    draw(sides[side], image);
    resize(image);
  }
  stage.classList.toggle('one', present.left === present.right);
  html('left-side').hidden = present.left === present.right;
}

/** Enlarges small pictures; large ones are as wide as the page, unless the user chooses their actual size. */
function resize({ width, height }: RgbImage): void {
  pair.style.setProperty('--width', String(width));
  pair.style.setProperty('--height', String(height));
  actualSize.hidden = width <= frame.clientWidth;
  if (actualSize.hidden) pair.classList.remove('actual');
  actual.checked = pair.classList.contains('actual');
}

divider.addEventListener('input', () => {
  stage.style.setProperty('--at', `${divider.value}%`);
  divider.setAttribute('aria-valuetext', `${divider.value} % of the width`);
});
actual.addEventListener('change', () => pair.classList.toggle('actual', actual.checked));
