/**
 * One HTTP/1.1 response out of the bytes of a connection (RFC 9112). It owns the
 * limits on what a response may cost: whoever answers in the API server's place
 * cannot fill our memory (selection.md §1). Strict: a response that two readers
 * could understand differently is refused. It works on bytes, and a body is
 * decoded when it is complete: a character may cross two chunks. Pure.
 */
import { isIdentifier } from "../cni/args.ts";
import { textOf, wholeNumber } from "../linux/text.ts";

/** Bytes of a body: 4 MiB. */
export const bodyLimit = 4 << 20;

/** Bytes of everything else: status line, headers, the lines around chunks, trailers. */
const headLimit = 64 << 10;

export interface HttpResponse {
  status: number;
  /** Undefined when it is larger than the limit. */
  text?: string;
  /** The header of that name. */
  retryAfter?: string;
}

/** A response that has been read to its end. */
export interface Complete {
  response: HttpResponse;
  /** Whether the connection is good for another one. */
  reusable: boolean;
  /** The bytes after it. */
  rest: Uint8Array;
}

/** Not HTTP, or HTTP that has more than one meaning. Its message quotes nothing. */
export class MalformedResponse extends Error {
  readonly code = "MalformedResponse";
}

/** What comes next, after the bytes of the body that are awaited. */
type State =
  | "head"
  /** Nothing: the body has its length, or its last chunk. */
  | "end"
  /** RFC 9112 §7.1: the line with the size of a chunk, the line end after its data, trailers. */
  | "chunk size"
  | "chunk end"
  | "trailers"
  /** A body that ends with the connection. */
  | "until close";

export class ResponseReader {
  #state: State = "head";
  /** The beginning of a head or of a line. */
  #held: Uint8Array = nothing;
  readonly #response: HttpResponse = { status: 0 };
  readonly #body = new Body();
  #reusable = false;
  /** Bytes of the body that are to come before the next line. */
  #awaited = 0;
  /** Bytes of all that is not the body. */
  #headSize = 0;

  /** The next bytes; the response once it is complete. Throws `MalformedResponse`. */
  push(bytes: Uint8Array): Complete | undefined {
    let rest = joined(this.#held, bytes);
    this.#held = nothing;
    for (;;) {
      if (this.#body.size + this.#awaited > bodyLimit) return this.#tooLarge();
      if (this.#awaited > 0) {
        const part = rest.subarray(0, this.#awaited);
        rest = rest.subarray(part.byteLength);
        this.#awaited -= part.byteLength;
        this.#body.add(part);
        if (this.#awaited > 0) return undefined;
      }
      if (this.#state === "end") return this.#complete(rest);
      if (this.#state === "until close") {
        if (this.#body.size + rest.byteLength > bodyLimit)
          return this.#tooLarge();
        this.#body.add(rest);
        return undefined;
      }
      const end = this.#state === "head" ? headEnd(rest) : lineEnd(rest, 0);
      if (this.#headSize + (end || rest.byteLength) > headLimit)
        throw malformed("an endless head");
      if (end === 0) {
        this.#held = rest;
        return undefined;
      }
      this.#headSize += end;
      const text = textOf(rest.subarray(0, end - 2));
      rest = rest.subarray(end);
      if (this.#state === "head") this.#head(text);
      else this.#line(text);
    }
  }

  /** The connection was closed: the response, if that is how its end is told. */
  close(): Complete | undefined {
    return this.#state === "until close" ? this.#complete(nothing) : undefined;
  }

  /** A line around chunks, or a trailer. */
  #line(line: string): void {
    if (this.#state === "chunk size") {
      this.#awaited = chunkSize(line);
      this.#state = this.#awaited > 0 ? "chunk end" : "trailers";
    } else if (this.#state === "chunk end") {
      if (line !== "") throw malformed("a chunk longer than its size");
      this.#state = "chunk size";
    } else if (line === "") {
      this.#state = "end";
    } else {
      // RFC 9110 §6.5.1: no trailer may say where the body ends.
      const { name } = readField(line);
      if (name === "content-length" || name === "transfer-encoding")
        throw malformed("two lengths");
    }
  }

  #head(head: string): void {
    const [statusLine = "", ...lines] = head.split("\r\n");
    const { minor, status } =
      statusLine === usual.line ? usual : readStatusLine(statusLine);
    const { length, chunked, closes, retryAfter } = fieldsOf(lines);
    if (status === 101) throw malformed("another protocol");
    if (status < 200) {
      // The final response follows; HTTP/1.0 has no interim ones.
      if (minor === "0") throw malformed("no status line");
      return;
    }
    this.#response.status = status;
    if (retryAfter !== undefined) this.#response.retryAfter = retryAfter;
    this.#reusable = minor === "1" && !closes;
    if (chunked && (length !== undefined || minor === "0"))
      throw malformed("two lengths");
    const empty = status === 204 || status === 304;
    this.#awaited = empty ? 0 : (length ?? 0);
    if (empty || length !== undefined) this.#state = "end";
    else this.#state = chunked ? "chunk size" : "until close";
  }

  #complete(rest: Uint8Array): Complete {
    this.#response.text = this.#body.text();
    return { response: this.#response, reusable: this.#reusable, rest };
  }

  #tooLarge(): Complete {
    return { response: this.#response, reusable: false, rest: nothing };
  }
}

/** The bytes of a body, one after the other. */
class Body {
  size = 0;
  /** Those bytes, and room for more unless it is the first part itself. */
  #bytes: Uint8Array = nothing;

  add(part: Uint8Array): void {
    const size = this.size + part.byteLength;
    // Most bodies come in one part, which need not be copied.
    if (this.size === 0) this.#bytes = part;
    else {
      if (size > this.#bytes.byteLength) {
        const larger = new Uint8Array(size * 2);
        larger.set(this.#bytes.subarray(0, this.size));
        this.#bytes = larger;
      }
      this.#bytes.set(part, this.size);
    }
    this.size = size;
  }

  text(): string {
    return textOf(this.#bytes.subarray(0, this.size));
  }
}

function malformed(what: string): MalformedResponse {
  return new MalformedResponse(what);
}

const nothing = new Uint8Array();

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  if (first.byteLength === 0) return second;
  const both = new Uint8Array(first.byteLength + second.byteLength);
  both.set(first);
  both.set(second, first.byteLength);
  return both;
}

/** The end of the empty line that ends a head; 0 when it has not come yet. */
function headEnd(bytes: Uint8Array): number {
  for (let line = 0; ;) {
    const end = lineEnd(bytes, line);
    if (end === 0 || end - line === 2) return end;
    line = end;
  }
}

/** The end of the line that begins at `from`; 0 when it has not come yet. */
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

/** Fast path: no regular expression, whose first use costs 0.1 ms. */
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

/** RFC 9110 §5.6.2. Fast path: most names are identifiers. */
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

/** The headers that matter here; all others must only be well-formed. */
function fieldsOf(lines: readonly string[]): Fields {
  const fields: Fields = { chunked: false, closes: false };
  for (const line of lines) {
    // The end of the head.
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

/** Extensions have no meaning for us. */
function chunkSize(line: string): number {
  // Fast path: Number() takes nothing after 0x but hexadecimal digits, and blanks, which no identifier has.
  const isPlain = line.length <= 12 && isIdentifier(line);
  const size = isPlain ? Number(`0x${line}`) : Number.NaN;
  if (!Number.isNaN(size)) return size;
  const [, digits, extension = ""] =
    /^([\dA-Fa-f]{1,12})[\t ]*(;[^]*)?$/.exec(line) ?? [];
  if (digits === undefined || !isFieldValue(extension))
    throw malformed("no size of a chunk");
  return Number.parseInt(digits, 16);
}
