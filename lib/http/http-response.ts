/**
 * One HTTP/1.1 response from the bytes of a connection (RFC 9112), with limits: an
 * impostor must not fill our memory (selection.md §1). Strict: a response that two
 * readers could understand differently is refused. It works on bytes; a body is
 * decoded when it is complete, because a character may cross two chunks. Pure.
 */
import { isIdentifier } from "../cni/identifiers.ts";
import { concat } from "../linux/files.ts";
import { textOf, wholeNumber } from "../linux/text.ts";

/** Bytes of a body: 4 MiB. */
export const bodyLimit = 4 << 20;

/** Bytes of everything but the body: status line, headers, chunk lines, trailers. */
const headLimit = 64 << 10;

export interface HttpResponse {
  status: number;
  /** Undefined if it exceeds the limit. */
  text?: string;
  /** The value of the header Retry-After. */
  retryAfter?: string;
}

/** A complete response. */
export interface Complete {
  response: HttpResponse;
  /** Whether the connection can be used again. */
  reusable: boolean;
  /** Bytes after the response. */
  rest: Uint8Array;
}

/** Not HTTP, or HTTP with more than one meaning. The message quotes nothing. */
export class MalformedResponse extends Error {
  readonly code = "MalformedResponse";
}

/** The state of the parser: what follows the awaited bytes of the body. */
type State =
  | "head"
  /** The end: the body has its length, or its last chunk arrived. */
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
  readonly #body: Uint8Array[] = [];
  /** Bytes of the body so far. */
  #size = 0;
  #reusable = false;
  /** Bytes of the body before the next line. */
  #awaited = 0;
  /** Bytes received outside of the body. */
  #headSize = 0;

  /** Takes the next bytes; returns the response once it is complete. Throws `MalformedResponse`. */
  push(bytes: Uint8Array): Complete | undefined {
    let rest = this.#held.byteLength > 0 ? concat([this.#held, bytes]) : bytes;
    this.#held = nothing;
    for (;;) {
      if (this.#size + this.#awaited > bodyLimit) return this.#tooLarge();
      if (this.#awaited > 0) {
        const part = rest.subarray(0, this.#awaited);
        rest = rest.subarray(part.byteLength);
        this.#awaited -= part.byteLength;
        this.#add(part);
        if (this.#awaited > 0) return undefined;
      }
      if (this.#state === "end") return this.#complete(rest);
      if (this.#state === "until close") {
        if (this.#size + rest.byteLength > bodyLimit) return this.#tooLarge();
        this.#add(rest);
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

  /** The connection was closed: returns the response if the close ends it. */
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
      // RFC 9110 §6.5.1: a trailer must not describe the length of the body.
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
      // Skip interim responses; HTTP/1.0 has none.
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

  #add(part: Uint8Array): void {
    this.#body.push(part);
    this.#size += part.byteLength;
  }

  #complete(rest: Uint8Array): Complete {
    const [first = nothing, ...more] = this.#body;
    this.#response.text = textOf(more.length > 0 ? concat(this.#body) : first);
    return { response: this.#response, reusable: this.#reusable, rest };
  }

  #tooLarge(): Complete {
    return { response: this.#response, reusable: false, rest: nothing };
  }
}

function malformed(what: string): MalformedResponse {
  return new MalformedResponse(what);
}

const nothing = new Uint8Array();

/** The end of the empty line after the head; 0 if it has not arrived. */
function headEnd(bytes: Uint8Array): number {
  for (let line = 0; ;) {
    const end = lineEnd(bytes, line);
    if (end === 0 || end - line === 2) return end;
    line = end;
  }
}

/** The end of the line that begins at `from`; 0 if it has not arrived. */
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

/** Lower-case name and value of a header. */
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

/** The relevant headers; all others must only be well-formed. */
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

/** Chunk extensions are ignored. */
function chunkSize(line: string): number {
  // Fast path: in an identifier, Number() accepts only hexadecimal digits after 0x.
  const isPlain = line.length <= 12 && isIdentifier(line);
  const size = isPlain ? Number(`0x${line}`) : Number.NaN;
  if (!Number.isNaN(size)) return size;
  const [, digits, extension = ""] =
    /^([\dA-Fa-f]{1,12})[\t ]*(;[^]*)?$/.exec(line) ?? [];
  if (digits === undefined || !isFieldValue(extension))
    throw malformed("no size of a chunk");
  return Number.parseInt(digits, 16);
}
