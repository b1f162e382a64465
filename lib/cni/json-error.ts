/**
 * The reason why a text is invalid JSON, in the words of Go's encoding/json, or too
 * deeply nested. Runs only for a refused text; decodes nothing.
 */
import { messageOf } from "../linux/errno.ts";

/** Go's message about a refused text, and the position; `depth` is the limit of nesting. */
export function explainJson(
  text: string,
  depth: number,
): { reason: string; place: string } {
  const scanner = new Scanner(text, depth);
  let reason = "invalid JSON";
  try {
    scanner.scan();
  } catch (complaint) {
    reason = messageOf(complaint);
  }
  return { reason, place: scanner.place() };
}

const literals: Record<string, string> = { t: "true", f: "false", n: "null" };

/** The order of checks of Go's scanner; it works on bytes, so the text is read as latin1. */
class Scanner {
  readonly #bytes: string;
  readonly #maxDepth: number;
  #at = 0;
  #depth = 0;

  constructor(text: string, maxDepth: number) {
    this.#maxDepth = maxDepth;
    this.#bytes = Buffer.from(text).toString("latin1");
  }

  scan(): void {
    this.#value(this.#token());
    this.#skip(/[ \t\r\n]*/y);
    if (this.#at < this.#bytes.length) this.#fail("after top-level value");
  }

  /** The position, line and column from 1; the column in characters. */
  place(): string {
    const before = this.#bytes.slice(0, this.#at);
    const line = before.split("\n").length;
    const column = before
      .slice(before.lastIndexOf("\n") + 1)
      // Bytes that continue a character of UTF-8.
      .replaceAll(/[\u0080-\u00bf]/g, "").length;
    return `line ${line}, column ${column + 1}`;
  }

  #value(first: string): void {
    if (first === "{") return this.#object();
    if (first === "[") return this.#array();
    if (first === '"') return this.#string();
    if (first === "-" || isDigit(first)) return this.#number();
    const literal = literals[first];
    if (literal === undefined) this.#fail("looking for beginning of value");
    this.#literal(literal);
  }

  #object(): void {
    this.#enter();
    if (this.#token() === "}") return this.#leave();
    for (;;) {
      if (this.#token() !== '"')
        this.#fail("looking for beginning of object key string");
      this.#string();
      if (this.#token() !== ":") this.#fail("after object key");
      this.#at++;
      this.#value(this.#token());
      if (this.#token() === "}") return this.#leave();
      if (this.#char() !== ",") this.#fail("after object key:value pair");
      this.#at++;
    }
  }

  #array(): void {
    this.#enter();
    if (this.#token() === "]") return this.#leave();
    for (;;) {
      this.#value(this.#token());
      if (this.#token() === "]") return this.#leave();
      if (this.#char() !== ",") this.#fail("after array element");
      this.#at++;
    }
  }

  #string(): void {
    this.#at++;
    for (;;) {
      // oxlint-disable-next-line no-control-regex -- JSON strings may not have them
      this.#skip(/[^"\\\u0000-\u001f]*/y);
      const char = this.#char();
      if (char !== '"' && char !== "\\") this.#fail("in string literal");
      this.#at++;
      if (char === '"') return;
      this.#escape();
    }
  }

  #escape(): void {
    const char = this.#inner();
    if (!'bfnrt\\/"u'.includes(char)) this.#fail("in string escape code");
    this.#at++;
    if (char !== "u") return;
    for (let i = 0; i < 4; i++, this.#at++) {
      if (!/[0-9a-fA-F]/.test(this.#inner()))
        this.#fail("in \\u hexadecimal character escape");
    }
  }

  #number(): void {
    if (this.#inner() === "-") this.#at++;
    if (!isDigit(this.#inner())) this.#fail("in numeric literal");
    if (this.#inner() === "0") this.#at++;
    else this.#skip(/[0-9]+/y);
    if (this.#inner() === ".")
      this.#digitsAfter(1, "after decimal point in numeric literal");
    if (/[eE]/.test(this.#inner())) {
      const signed = /[+-]/.test(this.#bytes[this.#at + 1] ?? "");
      this.#digitsAfter(signed ? 2 : 1, "in exponent of numeric literal");
    }
  }

  #digitsAfter(length: number, where: string): void {
    this.#at += length;
    if (!isDigit(this.#inner())) this.#fail(where);
    this.#skip(/[0-9]+/y);
  }

  #literal(literal: string): void {
    for (const expected of literal) {
      if (this.#inner() !== expected)
        this.#fail(`in literal ${literal} (expecting '${expected}')`);
      this.#at++;
    }
  }

  #enter(): void {
    this.#at++;
    if (++this.#depth > this.#maxDepth)
      throw new SyntaxError(`nested deeper than ${this.#maxDepth} levels`);
  }

  #leave(): void {
    this.#at++;
    this.#depth--;
  }

  #token(): string {
    this.#skip(/[ \t\r\n]*/y);
    return this.#char();
  }

  #char(): string {
    const char = this.#bytes[this.#at];
    if (char === undefined)
      throw new SyntaxError("unexpected end of JSON input");
    return char;
  }

  /** Inside a token Go's scanner treats the end as a blank. */
  #inner(): string {
    return this.#bytes[this.#at] ?? " ";
  }

  #skip(pattern: RegExp): void {
    pattern.lastIndex = this.#at;
    pattern.test(this.#bytes);
    this.#at = pattern.lastIndex || this.#at;
  }

  #fail(where: string): never {
    throw new SyntaxError(
      `invalid character ${quoteChar(this.#inner())} ${where}`,
    );
  }
}

function isDigit(char: string): boolean {
  return char >= "0" && char <= "9";
}

/** Go's `quoteChar`: strconv.Quote of the byte, in single quotes. */
function quoteChar(char: string): string {
  const named: Record<string, string> = {
    "'": "\\'",
    '"': '"',
    "\\": "\\\\",
    "\u0007": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
  };
  const code = char.charCodeAt(0);
  const printable =
    (code >= 0x20 && code < 0x7f) || (code > 0xa0 && code !== 0xad);
  const hex = code.toString(16).padStart(2, "0");
  const escaped = code < 0x80 ? `\\x${hex}` : `\\u00${hex}`;
  return `'${named[char] ?? (printable ? char : escaped)}'`;
}
