/**
 * One HTTP/1.1 answer out of the bytes of a connection (RFC 9112). It owns the
 * limits of what an answer may cost us: whoever answers in the API server's
 * place cannot fill our memory (selection.md §1). Strict: what two readers could
 * understand differently is refused. Pure.
 */
import { isIdentifier } from "../cni/args.ts";
import { wholeNumber } from "../cni/text.ts";

/** Bytes of a body: 4 MiB. */
export const answerLimit = 4 << 20;

/** Bytes of all that is not the body: status line, headers, trailers. */
const headLimit = 64 << 10;

export interface HttpAnswer {
  status: number;
  /** Undefined when it is larger than the limit. */
  text?: string;
  /** The header of that name. */
  retryAfter?: string;
}

/** An answer that has been read to its end. */
export interface Complete {
  answer: HttpAnswer;
  /** Whether the connection is good for another one. */
  reusable: boolean;
  /** What came after it. */
  rest: Uint8Array;
}

/** Not HTTP, or HTTP that has more than one meaning. Its message quotes nothing. */
export class MalformedAnswer extends Error {
  readonly code = "MalformedAnswer";
}

/** What comes next: beyond the bytes that are awaited, if there are any. */
type State =
  | "head"
  /** Nothing after a body of known length. */
  | "end"
  /** RFC 9112 §7.1: the line with the size of a chunk, what is left of the line after a chunk, trailers. */
  | "size"
  | "line end"
  | "trailers"
  /** A body that ends with the connection. */
  | "close";

export class AnswerReader {
  #state: State = "head";
  /** The beginning of a head or of a line. */
  #held: Uint8Array = nothing;
  readonly #decoder = new TextDecoder();
  readonly #answer: HttpAnswer = { status: 0 };
  #reusable = false;
  #text = "";
  /** Bytes of the body so far, of its present part that are to come, and of all that is not the body. */
  #size = 0;
  #left = 0;
  #heads = 0;

  /** What came next; the answer once it is complete. Throws `MalformedAnswer`. */
  push(bytes: Uint8Array): Complete | undefined {
    let rest = joined(this.#held, bytes);
    this.#held = nothing;
    for (;;) {
      if (this.#size + this.#left > answerLimit) return this.#tooLarge();
      if (this.#left > 0) {
        const part = rest.subarray(0, this.#left);
        rest = rest.subarray(part.byteLength);
        this.#left -= part.byteLength;
        this.#add(part);
        if (this.#left > 0) return undefined;
      }
      if (this.#state === "end") return this.#complete(rest);
      if (this.#state === "close") {
        this.#add(rest);
        return this.#size > answerLimit ? this.#tooLarge() : undefined;
      }
      const end = this.#state === "head" ? headEnd(rest) : lineEnd(rest, 0);
      if (this.#heads + (end || rest.byteLength) > headLimit)
        throw malformed("an endless head");
      if (end === 0) {
        this.#held = rest;
        return undefined;
      }
      this.#heads += end;
      const text = this.#decoder.decode(rest.subarray(0, end - 2));
      rest = rest.subarray(end);
      if (this.#state === "head") this.#head(text);
      else this.#line(text);
    }
  }

  /** The connection was closed: the answer, if that is how its end is told. */
  close(): Complete | undefined {
    return this.#state === "close" ? this.#complete(nothing) : undefined;
  }

  /** One of those that are about chunks. */
  #line(text: string): void {
    if (this.#state === "size") {
      this.#left = chunkSize(text);
      this.#state = this.#left > 0 ? "line end" : "trailers";
    } else if (this.#state === "line end") {
      if (text !== "") throw malformed("a chunk longer than its size");
      this.#state = "size";
    } else if (text === "") {
      this.#state = "end";
    }
  }

  #head(head: string): void {
    const [statusLine = "", ...lines] = head.split("\r\n");
    const { minor, status } =
      statusLine === usual.line ? usual : readStatusLine(statusLine);
    const { length, chunked, closes, retryAfter } = fieldsOf(lines);
    if (status === 101) throw malformed("another protocol");
    // Interim: the answer proper follows.
    if (status < 200) return;
    this.#answer.status = status;
    if (retryAfter !== undefined) this.#answer.retryAfter = retryAfter;
    this.#reusable = minor === "1" && !closes;
    if (chunked && (length !== undefined || minor === "0"))
      throw malformed("two lengths");
    const empty = status === 204 || status === 304;
    this.#left = empty ? 0 : (length ?? 0);
    if (empty || length !== undefined) this.#state = "end";
    else this.#state = chunked ? "size" : "close";
  }

  #add(part: Uint8Array): void {
    this.#size += part.byteLength;
    this.#text += this.#decoder.decode(part, { stream: true });
  }

  #complete(rest: Uint8Array): Complete {
    this.#answer.text = this.#text + this.#decoder.decode();
    return { answer: this.#answer, reusable: this.#reusable, rest };
  }

  #tooLarge(): Complete {
    return { answer: this.#answer, reusable: false, rest: nothing };
  }
}

function malformed(what: string): MalformedAnswer {
  return new MalformedAnswer(what);
}

const nothing = new Uint8Array();

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  if (first.byteLength === 0) return second;
  const both = new Uint8Array(first.byteLength + second.byteLength);
  both.set(first);
  both.set(second, first.byteLength);
  return both;
}

/** Where the empty line ends that a head ends with; 0 when it has not come yet. */
function headEnd(bytes: Uint8Array): number {
  for (let line = 0; ;) {
    const end = lineEnd(bytes, line);
    if (end === 0 || end - line === 2) return end;
    line = end;
  }
}

/** Where the line ends that begins at `from`; 0 when its end has not come yet. */
function lineEnd(bytes: Uint8Array, from: number): number {
  const lineFeed = bytes.indexOf(0x0a, from);
  if (lineFeed < 0) return 0;
  if (lineFeed === from || bytes[lineFeed - 1] !== 0x0d)
    throw malformed("a line that ends without CR");
  return lineFeed + 1;
}

interface StatusLine {
  minor: string;
  status: number;
}

/** Known without the pattern, as are the headers below: its first use costs a pod 0.1 ms. */
const usual = { line: "HTTP/1.1 200 OK", minor: "1", status: 200 };

function readStatusLine(line: string): StatusLine {
  const [, minor, digits] =
    /^HTTP\/1\.([01]) ([1-5]\d\d)(?: [\t -~\u0080-\uffff]*)?$/.exec(line) ?? [];
  if (minor === undefined) throw malformed("no status line");
  return { minor, status: Number(digits) };
}

/** Name in small letters and value of a header. */
function readField(line: string): { name: string; value: string } {
  const colon = line.indexOf(":");
  const name = line.slice(0, colon < 0 ? 0 : colon);
  const value = line.slice(colon + 1);
  if (!isToken(name) || !isFieldValue(value))
    throw malformed("a line that is no header");
  return { name: name.toLowerCase(), value: value.trim() };
}

/** RFC 9110 §5.6.2; most names have no more than ours may have. */
function isToken(name: string): boolean {
  return isIdentifier(name) || /^[-!#$%&'*+.^_`|~\dA-Za-z]+$/.test(name);
}

/** No control characters but the tab (RFC 9110 §5.5). */
function isFieldValue(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if ((code < 0x20 && code !== 0x09) || code === 0x7f) return false;
  }
  return true;
}

interface Fields {
  length?: number;
  chunked: boolean;
  closes: boolean;
  retryAfter?: string;
}

/** The headers that decide anything; all others must only be headers. */
function fieldsOf(lines: readonly string[]): Fields {
  const fields: Fields = { chunked: false, closes: false };
  for (const line of lines) {
    // The last one.
    if (line === "") continue;
    const { name, value } = readField(line);
    switch (name) {
      case "content-length": {
        const length = value.length > 15 ? undefined : wholeNumber(value);
        if (length === undefined || length !== (fields.length ?? length))
          throw malformed("no length");
        fields.length = length;
        break;
      }
      case "transfer-encoding":
        if (fields.chunked || value.toLowerCase() !== "chunked")
          throw malformed("an unknown transfer encoding");
        fields.chunked = true;
        break;
      case "connection":
        if (saysClose(value)) fields.closes = true;
        break;
      case "retry-after":
        fields.retryAfter ??= value;
        break;
    }
  }
  return fields;
}

function saysClose(connection: string): boolean {
  const options = connection.toLowerCase();
  if (options === "keep-alive") return false;
  return /(?:^|[\t ,])close(?:[\t ,]|$)/.test(options);
}

/** Extensions have no meaning that we know. */
function chunkSize(line: string): number {
  // Number() takes nothing after 0x but hexadecimal digits, and blanks, which no identifier has.
  const isPlain = line.length <= 12 && isIdentifier(line);
  const size = isPlain ? Number(`0x${line}`) : Number.NaN;
  if (!Number.isNaN(size)) return size;
  const [, digits] = /^([\dA-Fa-f]{1,12})[\t ]*(?:;.*)?$/.exec(line) ?? [];
  if (digits === undefined) throw malformed("no size of a chunk");
  return Number.parseInt(digits, 16);
}
