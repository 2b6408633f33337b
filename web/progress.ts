/** Shows the progress of work and the time left, and asks a question where that is long. */
import type { DownloadProgress } from 'ddpm-codec/browser';
import { button, element, html } from './elements.js';
import { inMegabytes, inTime } from './words.js';

const section = html('progress');
const bar = element('progress-bar', HTMLProgressElement);
const text = html('progress-text');
const announcement = html('announcement');
const question = html('question');
const questionText = html('question-text');

/**
 * Seconds of observed work needed to estimate the time left. The estimate uses the latest work, since a step may take
 * longer than the one before.
 */
const OBSERVED = 4;
/** Older progress, in seconds, is forgotten. */
const FORGOTTEN = 15;
/** Seconds that count as long. */
const LONG = 60;
/** Steps of progress that screen readers announce, as a fraction. */
const TOLD = 0.25;

/** The user's answers about a long job. */
export interface LongAnswers {
  half(): void;
  cancel(): void;
}

/** The progress on display; a job that has been replaced shows no more. */
let shown: Progress | undefined;

export class Progress {
  #label: string;
  #past: { readonly time: number; readonly fraction: number }[] = [];
  #told = 0;
  #answers: LongAnswers | undefined;

  /** @param answers if given, the page asks once where the work takes long */
  constructor(label: string, answers?: LongAnswers) {
    this.#label = label;
    this.#answers = answers;
    shown = this;
    section.hidden = false;
    question.hidden = true;
    this.label(label);
  }

  /** Begins a new part of the work. Its length is unknown at first. */
  label(label: string): void {
    this.#label = label;
    this.#past = [];
    this.#told = 0;
    bar.removeAttribute('value');
    text.textContent = label;
    announcement.textContent = label;
  }

  download({ name, bytes, of }: DownloadProgress): void {
    if (bytes === of) this.label(this.#label);
    else {
      bar.value = bytes / of;
      text.textContent = `Downloading the model ${name}: ${inMegabytes(bytes)} of ${inMegabytes(of)} MB`;
    }
  }

  /** @param fraction of the work that is done, 0..1 */
  work(fraction: number, details = ''): void {
    bar.value = fraction;
    const left = this.#secondsLeft(fraction);
    const rest = left === undefined ? '' : ` · about ${inTime(left)} left`;
    text.textContent = `${this.#label}: ${Math.floor(100 * fraction)} %${rest}${details && ` · ${details}`}`;
    if (fraction >= this.#told + TOLD) {
      this.#told = fraction;
      announcement.textContent = `${Math.floor(100 * fraction)} %${rest}`;
    }
    if (left !== undefined && left > LONG) this.ask(`Encoding takes about ${inTime(left)} more.`);
  }

  /** @returns undefined while it is unknown */
  #secondsLeft(fraction: number): number | undefined {
    const time = performance.now() / 1000;
    const past = this.#past;
    past.push({ time, fraction });
    while (past.length > 2 && past[1].time < time - FORGOTTEN) past.shift();
    const spent = time - past[0].time;
    const done = fraction - past[0].fraction;
    return spent < OBSERVED || done <= 0 ? undefined : (spent / done) * (1 - fraction);
  }

  /** Asks once whether to go on; the work continues in the meantime. */
  ask(why: string): void {
    const answers = this.#answers;
    if (!answers) return;
    this.#answers = undefined;
    questionText.textContent = `${why} With sides half as long it takes about a quarter of the time.`;
    const answer = (id: string, then: () => void) => {
      button(id).onclick = () => {
        question.hidden = true;
        then();
      };
    };
    answer('question-on', () => button('stop').focus());
    answer('question-half', answers.half);
    answer('question-cancel', answers.cancel);
    question.hidden = false;
    announcement.textContent = questionText.textContent;
  }

  /** @param said announced to screen readers */
  end(said: string): void {
    if (shown !== this) return;
    section.hidden = true;
    question.hidden = true;
    announcement.textContent = said;
  }
}
