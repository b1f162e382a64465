/**
 * Text and its bytes in UTF-8. `Buffer` would cost a pod 0.4 ms at its first use
 * (docs/performance.md).
 */

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

export function bytesOf(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Invalid UTF-8 becomes U+FFFD; a byte order mark stays. */
export function textOf(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** Whether the text has more than `bytes` bytes. */
export function isLonger(text: string, bytes: number): boolean {
  // A UTF-16 code unit becomes one to three bytes.
  if (text.length * 3 <= bytes) return false;
  return text.length > bytes || bytesOf(text).length > bytes;
}

/** The beginning of a longer text up to a number of bytes, whole characters only, then `…`. */
export function cut(text: string, bytes: number): string {
  if (!isLonger(text, bytes)) return text;
  return `${headOf(bytesOf(text), bytes)}…`;
}

/** The bytes of `…`. */
const ellipsisBytes = 3;

/** Beginning and end of a longer text with `…` between, up to a number of bytes. */
export function cutMiddle(text: string, bytes: number): string {
  if (!isLonger(text, bytes)) return text;
  const all = bytesOf(text);
  const half = (bytes - ellipsisBytes) >> 1;
  let tail = all.length - half;
  // A byte that continues a character of UTF-8.
  while (((all[tail] ?? 0) & 0xc0) === 0x80) tail++;
  return `${headOf(all, half)}…${textOf(all.subarray(tail))}`;
}

/** Without an incomplete character at the end. */
function headOf(bytes: Uint8Array, length: number): string {
  const streaming = new TextDecoder("utf-8", { ignoreBOM: true });
  return streaming.decode(bytes.subarray(0, length), { stream: true });
}

/** The trimmed text; undefined if it is empty. */
export function nonBlank(text: string | null | undefined): string | undefined {
  return text?.trim() || undefined;
}

/** The number of a text that has decimal digits only, if a double can represent it. */
export function wholeNumber(digits: string): number | undefined {
  let number = 0;
  for (let i = 0; i < digits.length; i++) {
    const digit = digits.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return undefined;
    number = number * 10 + digit;
  }
  return digits === "" ? undefined : number;
}

/**
 * Sorts in place by UTF-8 bytes, as other programs sort a directory. The engine sorts by
 * UTF-16 code units: for ASCII that is the same, and 100 times as fast as our own
 * comparison; a directory may have hundreds of names.
 */
export function sortByBytes(texts: string[]): string[] {
  const all = texts.join("");
  const order =
    bytesOf(all).length === all.length
      ? undefined
      : (a: string, b: string) =>
          Buffer.compare(Buffer.from(a), Buffer.from(b));
  // oxlint-disable-next-line unicorn/no-array-sort -- a copy of 300 names fills the heap
  return texts.sort(order);
}

/**
 * The text in one line, with control characters, line separators, and characters that
 * are invisible or change the direction of the text as in JSON (`\n`, `\u001b`,
 * `\u202e`): a terminal or a reader would misread it.
 */
export function escapeControls(text: string): string {
  if (isPrintableAscii(text)) return text;
  // Compiled here, not at the start of every pod.
  const unprintable =
    /[\p{Cc}\p{Zl}\p{Zp}\p{Cf}\p{Default_Ignorable_Code_Point}]/gu;
  return text.replace(unprintable, (character) => {
    const json = JSON.stringify(character).slice(1, -1);
    return json === character ? unicodeEscapes(character) : json;
  });
}

/** One or two UTF-16 code units. */
function unicodeEscapes(character: string): string {
  let escapes = "";
  for (let i = 0; i < character.length; i++)
    escapes += `\\u${character.charCodeAt(i).toString(16).padStart(4, "0")}`;
  return escapes;
}

/** Fast path of most texts: the pattern of other unprintable characters is large. */
function isPrintableAscii(text: string): boolean {
  return /^[\x20-\x7e]*$/.test(text);
}

/** A value from outside, unquoted if it is short and printable, else as by {@link quote}. */
export function plain(value: string): string {
  const isShort = value !== "" && value.length <= 128;
  return isShort && isPrintableAscii(value) ? value : quote(value);
}

/**
 * A value from outside, safe inside a message: cut at 128 bytes, unprintable
 * characters escaped, in double quotes (selection.md §2).
 */
export function quote(value: string): string {
  return quoteWhole(cut(value, 128));
}

/**
 * Output of a program, as by {@link quote}, but head and tail up to 2 KiB (state.md
 * "Processes and locks").
 */
export function quoteOutput(text: string): string {
  return quoteWhole(cutMiddle(text.trim(), 2 << 10));
}

function quoteWhole(value: string): string {
  return escapeControls(JSON.stringify(value));
}

/** Whether a system call takes it as a path: the kernel's texts end at a NUL. */
export function isPath(value: string): boolean {
  return !value.includes("\0");
}
