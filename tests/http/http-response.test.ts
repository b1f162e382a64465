/** Responses out of bytes, in whatever pieces they come; what is ambiguous is refused (RFC 9112). */
import { describe, expect, test } from "bun:test";
import {
  ResponseReader,
  type Complete,
  MalformedResponse,
  bodyLimit,
} from "../../lib/http/http-response.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** The response that a reader finds in a text, given at once or in pieces of so many bytes. */
function read(text: string, size = Infinity): Complete | undefined {
  const bytes = encode(text);
  const reader = new ResponseReader();
  for (let at = 0; at < bytes.byteLength; at += size) {
    const complete = reader.push(bytes.subarray(at, at + size));
    if (!complete) continue;
    const rest = decode(complete.rest) + decode(bytes.subarray(at + size));
    return { ...complete, rest: encode(rest) };
  }
  return reader.close();
}

const ok = "HTTP/1.1 200 OK\r\n";

describe("ResponseReader", () => {
  test.each<[string, string, string, boolean]>([
    ["a length", `${ok}Content-Length: 2\r\n\r\n{}`, "{}", true],
    [
      "the same length twice",
      `${ok}content-length: 2\r\nCONTENT-LENGTH:2 \r\n\r\n{}`,
      "{}",
      true,
    ],
    ["length 0", `${ok}Content-Length: 0\r\n\r\n`, "", true],
    ["text beyond ASCII", `${ok}Content-Length: 5\r\n\r\nä€`, "ä€", true],
    [
      "chunks",
      `${ok}Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n00a;x=y\r\n"a":"0123"\r\n1\r\n}\r\n0\r\n\r\n`,
      '{"a":"0123"}',
      true,
    ],
    [
      "chunk extensions",
      `${ok}Transfer-Encoding: Chunked\r\n\r\n2;a="b;\u2028";c\r\n{}\r\n0 ; d\r\n\r\n`,
      "{}",
      true,
    ],
    [
      "trailers",
      `${ok}Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-A: b\r\nX-C: d\r\n\r\n`,
      "{}",
      true,
    ],
    ["the connection's end", `${ok}X: y\r\n\r\n{}`, "{}", true],
    [
      "an interim answer before it",
      `HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100\r\n\r\n${ok}Content-Length: 2\r\n\r\n{}`,
      "{}",
      true,
    ],
    ["no reason", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}", "{}", true],
    [
      "Connection: close",
      `${ok}Connection: Close\r\nContent-Length: 2\r\n\r\n{}`,
      "{}",
      false,
    ],
    [
      "Connection: close in a list",
      `${ok}Connection: te, close\r\nContent-Length: 2\r\n\r\n{}`,
      "{}",
      false,
    ],
    [
      "Connection: keep-alive",
      `${ok}Connection: keep-alive\r\nContent-Length: 2\r\n\r\n{}`,
      "{}",
      true,
    ],
    ["HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", "{}", false],
  ])(
    "ResponseReader, %s: read whole and byte by byte",
    (_, text, body, reusable) => {
      const expected = {
        response: { status: 200, text: body },
        reusable,
        rest: encode(""),
      };
      expect(read(text)).toEqual(expected);
      expect(read(text, 1)).toEqual(expected);
      expect(read(text, 7)).toEqual(expected);
    },
  );

  test.each([[204], [304]])(
    "ResponseReader, %p: ends with its head, whatever length it states",
    (status) => {
      const text = `HTTP/1.1 ${status} X\r\nContent-Length: 5\r\n\r\nHTTP/`;
      expect(read(text)).toEqual({
        response: { status, text: "" },
        reusable: true,
        rest: encode("HTTP/"),
      });
    },
  );

  test("ResponseReader, Retry-After: the first one", () => {
    const text =
      "HTTP/1.1 429 Slow down\r\nRetry-After: 3\r\nretry-after: 4\r\nContent-Length: 0\r\n\r\n";
    expect(read(text)?.response).toEqual({
      status: 429,
      text: "",
      retryAfter: "3",
    });
  });

  test.each([
    ["a length", `${ok}Content-Length: 2\r\n\r\n{}`],
    ["chunks", `${ok}Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`],
  ])(
    "ResponseReader, two answers with %s: what is beyond the first is left",
    (_, text) => {
      expect(decode(read(text + text)?.rest ?? encode(""))).toBe(text);
      expect(decode(read(text + text, 5)?.rest ?? encode(""))).toBe(text);
    },
  );

  test.each([
    ["nothing", ""],
    ["half a status line", "HTTP/1.1 2"],
    ["half a head", `${ok}Content-Length: 2\r\n`],
    ["half a body", `${ok}Content-Length: 2\r\n\r\n{`],
    ["half a chunk", `${ok}Transfer-Encoding: chunked\r\n\r\n5\r\n{}`],
    ["no last chunk", `${ok}Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n`],
    [
      "no end of the trailers",
      `${ok}Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n`,
    ],
    ["nothing but an interim answer", "HTTP/1.1 100 Continue\r\n\r\n"],
  ])("ResponseReader, cut off after %s: no answer", (_, text) => {
    expect(read(text)).toBeUndefined();
    expect(read(text, 1)).toBeUndefined();
  });

  const chunked = `${ok}Transfer-Encoding: chunked\r\n\r\n`;

  test.each([
    ["another protocol", "SSH-2.0-OpenSSH\r\n\r\n"],
    ["HTTP/2", "HTTP/2 200\r\n\r\n"],
    ["HTTP/1.2", "HTTP/1.2 200 OK\r\n\r\n"],
    ["an empty line first", `\r\n${ok}\r\n`],
    ["a status of two digits", "HTTP/1.1 20 OK\r\n\r\n"],
    ["a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n"],
    ["a status beyond 599", "HTTP/1.1 600 X\r\n\r\n"],
    ["two blanks", "HTTP/1.1  200 OK\r\n\r\n"],
    [
      "an interim response of HTTP/1.0",
      `HTTP/1.0 100 Continue\r\n\r\n${ok}Content-Length: 2\r\n\r\n{}`,
    ],
    ["a switch of protocols", "HTTP/1.1 101 X\r\nUpgrade: h2c\r\n\r\n"],
    ["a line that ends with LF", "HTTP/1.1 200 OK\nContent-Length: 2\n\n{}"],
    ["CR in a header", `${ok}X: a\rContent-Length: 2\r\n\r\n{}`],
    ["NUL in a header", `${ok}X: a\0\r\n\r\n`],
    ["a header without colon", `${ok}Content-Length\r\n\r\n`],
    ["a header without name", `${ok}: 2\r\n\r\n`],
    ["a blank before the colon", `${ok}Content-Length : 2\r\n\r\n{}`],
    ["a folded header", `${ok}X: a\r\n b\r\n\r\n`],
    ["a negative length", `${ok}Content-Length: -1\r\n\r\n`],
    ["a signed length", `${ok}Content-Length: +2\r\n\r\n{}`],
    ["a hexadecimal length", `${ok}Content-Length: 0x2\r\n\r\n{}`],
    ["an empty length", `${ok}Content-Length: \r\n\r\n`],
    ["a list of lengths", `${ok}Content-Length: 2, 2\r\n\r\n{}`],
    ["an endless length", `${ok}Content-Length: ${"9".repeat(400)}\r\n\r\n`],
    ["two lengths", `${ok}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`],
    [
      "length and chunks",
      `${ok}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    [
      "chunks in HTTP/1.0",
      "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ["a compressed transfer", `${ok}Transfer-Encoding: gzip, chunked\r\n\r\n`],
    [
      "chunked twice",
      `${ok}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`,
    ],
    ["a chunk without size", `${chunked}\r\n{}\r\n`],
    ["a chunk of negative size", `${chunked}-2\r\n{}\r\n`],
    ["a chunk of an endless size", `${chunked}${"f".repeat(20)}\r\n`],
    ["a chunk longer than its size", `${chunked}1\r\n{}\r\n0\r\n\r\n`],
    ["a chunk extension with CR", `${chunked}2;a\rb\r\n{}\r\n0\r\n\r\n`],
    ["a trailer without colon", `${chunked}2\r\n{}\r\n0\r\nnonsense\r\n\r\n`],
    [
      "a length in a trailer",
      `${chunked}2\r\n{}\r\n0\r\nContent-Length: 2\r\n\r\n`,
    ],
    ["a trailer with NUL", `${chunked}2\r\n{}\r\n0\r\nA: \0\r\n\r\n`],
    ["a chunk size that ends with LF", `${chunked}2\n{}\r\n0\r\n\r\n`],
  ])("ResponseReader, %s: malformed", (_, text) => {
    expect(() => read(text)).toThrow(MalformedResponse);
    expect(() => read(text, 1)).toThrow(MalformedResponse);
  });

  test.each([
    [
      "one header",
      (reader: ResponseReader) => reader.push(encode("a".repeat(1000))),
    ],
    ["headers", (reader: ResponseReader) => reader.push(encode("X: y\r\n"))],
    [
      "interim answers",
      (reader: ResponseReader) =>
        reader.push(encode("Y: z\r\n\r\nHTTP/1.1 100 C\r\n")),
    ],
  ])("ResponseReader, %s without end: malformed after 64 KiB", (_, more) => {
    const reader = new ResponseReader();
    reader.push(encode("HTTP/1.1 100 C\r\nX: "));
    reader.push(encode("y\r\n"));
    expect(() => {
      for (let i = 0; i < 20_000; i++) more(reader);
    }).toThrow(MalformedResponse);
  });

  test("ResponseReader, chunks of one byte without end: malformed, not collected", () => {
    const reader = new ResponseReader();
    reader.push(encode(chunked));
    expect(() => {
      for (let i = 0; i < 20_000; i++) reader.push(encode("1\r\na\r\n"));
    }).toThrow(MalformedResponse);
  });

  test.each([
    ["stated", `${ok}Content-Length: ${bodyLimit + 1}\r\n\r\n`],
    ["of a chunk", `${chunked}${(bodyLimit + 1).toString(16)}\r\n`],
    ["of the largest chunk", `${chunked}${"f".repeat(12)}\r\n`],
  ])(
    "ResponseReader, size beyond 4 MiB %s: no text, before any of it came",
    (_, text) => {
      expect(read(text)).toEqual({
        response: { status: 200 },
        reusable: false,
        rest: encode(""),
      });
    },
  );

  test.each([
    ["untold", `${ok}\r\n`, (piece: string) => piece],
    [
      "in chunks",
      chunked,
      (piece: string) => `${piece.length.toString(16)}\r\n${piece}\r\n`,
    ],
  ])("ResponseReader, size beyond 4 MiB %s: stops there", (_, head, wrap) => {
    const reader = new ResponseReader();
    reader.push(encode(head));
    const piece = encode(wrap("a".repeat(1 << 20)));
    for (let i = 0; i < 4; i++) expect(reader.push(piece)).toBeUndefined();
    expect(reader.push(piece)).toEqual({
      response: { status: 200 },
      reusable: false,
      rest: encode(""),
    });
  });
});
