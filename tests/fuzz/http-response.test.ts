/**
 * The reader of HTTP responses against `node:http` as a second opinion: the same
 * status and body for every response, wherever its bytes are cut, and nothing
 * accepted that the other one refuses.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { type IncomingMessage, request } from "node:http";
import * as fc from "fast-check";
import {
  type Complete,
  MalformedResponse,
  ResponseReader,
} from "../../lib/http/http-response.ts";
import { fewRuns, runs } from "./arbitraries.ts";

const server = serve();
afterAll(() => server.stop());

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const decode = (bytes: Uint8Array): string => decoder.decode(bytes);
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A response, and the end of its written part. */
interface Written {
  bytes: Uint8Array;
  status: number;
  body: Uint8Array;
  /** Whether only the end of the connection ends it. */
  untilClose: boolean;
  /** Whether the connection may be used again. */
  reusable: boolean;
}

/** Letters of one to four bytes, and bytes that are no UTF-8. */
const bodies = fc.oneof(
  fc.string({ unit: fc.constantFrom("a", "ä", "€", "😀", '"') }).map(encode),
  fc.json().map(encode),
  fc.uint8Array({ maxLength: 64 }),
  fc.nat(70_000).map((size) => encode("aä€😀".repeat(size / 10))),
);

const blank = fc.constantFrom("", " ", "\t", "  ");
/** Bun's own client takes no tab after the name of an encoding. */
const spaces = fc.constantFrom("", " ", "  ");
const fieldValues = fc
  .string({
    unit: fc.constantFrom("a", "B", "1", ",", ";", "=", '"', " ", "ä"),
  })
  .map((text) => text.trim());
const otherFields = fc.array(
  fc
    .tuple(
      fc.constantFrom("Date", "X-A", "audit-id", "CACHE-CONTROL", "x_y", "~"),
      blank,
      fieldValues,
      blank,
    )
    .map(([name, before, value, after]) => `${name}:${before}${value}${after}`),
  { maxLength: 4 },
);

const spelt = (name: string): fc.Arbitrary<string> =>
  fc.constantFrom(name, name.toLowerCase(), name.toUpperCase());

const interims = fc.array(
  fc
    .tuple(fc.constantFrom(100, 102, 103), otherFields)
    .map(([status, fields]) =>
      [`HTTP/1.1 ${status} Wait`, ...fields, "", ""].join("\r\n"),
    ),
  { maxLength: 2 },
);

const extensions = fc.constantFrom("", ";a", ";a=b", ';a="b c"', ";a=b;c=d");

/** A body cut into chunks; sizes with zeros before them and in both cases. */
const chunked = (body: Uint8Array): fc.Arbitrary<Uint8Array> =>
  fc
    .record({
      cuts: fc.array(fc.nat(), { maxLength: 6 }),
      extension: extensions,
      zeros: fc.constantFrom("", "0", "00"),
      upper: fc.boolean(),
      trailers: otherFields,
    })
    .map(({ cuts, extension, zeros, upper, trailers }) => {
      const parts: Uint8Array[] = [];
      for (const data of pieces(body, cuts)) {
        const hex = data.length.toString(16);
        const size = `${zeros}${upper ? hex.toUpperCase() : hex}${extension}`;
        parts.push(encode(`${size}\r\n`), data, encode("\r\n"));
      }
      const last = [`${zeros}0${extension}`, ...trailers, "", ""].join("\r\n");
      return Buffer.concat([...parts, encode(last)]);
    });

const framings = fc.constantFrom("length", "chunks", "close", "none" as const);

const responses: fc.Arbitrary<Written> = fc
  .record({ body: bodies, framing: framings })
  .chain(({ body, framing }) =>
    fc
      .record({
        interim: interims,
        fields: otherFields,
        rest: fc.constantFrom(" OK", " ", "", " Not Found", " ÄÖ"),
        data: framing === "chunks" ? chunked(body) : fc.constant(body),
        status: fc.constantFrom(
          ...(framing === "none" ? [204, 304] : statuses),
        ),
        length: spelt("Content-Length"),
        encoding: spelt("Transfer-Encoding"),
        connection: fc.constantFrom(
          undefined,
          "close",
          "keep-alive",
          "Close, te",
        ),
        pad: spaces,
        at: fc.nat(),
      })
      .map((parts) => {
        const { interim, fields, rest, data, status, connection, pad } = parts;
        const framed: string[] = {
          length: [`${parts.length}:${pad}${body.length}${pad}`],
          chunks: [`${parts.encoding}: chunked${pad}`],
          close: [],
          none: [`${parts.length}: 7`],
        }[framing];
        if (connection !== undefined) framed.push(`Connection: ${connection}`);
        const lines = [...fields];
        for (const line of framed)
          lines.splice(parts.at % (lines.length + 1), 0, line);
        const head = [`HTTP/1.1 ${status}${rest}`, ...lines, "", ""].join(
          "\r\n",
        );
        const sent = framing === "none" ? new Uint8Array() : data;
        return {
          bytes: Buffer.concat([encode(interim.join("")), encode(head), sent]),
          status,
          body: framing === "none" ? new Uint8Array() : body,
          untilClose: framing === "close",
          reusable: framing !== "close" && !/close/i.test(connection ?? ""),
        };
      }),
  );

const statuses = [
  200, 201, 205, 206, 301, 400, 401, 403, 404, 422, 429, 500, 503,
];

const cuts = fc.array(fc.nat(), { maxLength: 12 });

/** Bytes with a few changed, some of them to characters of HTTP. */
const edits = fc.array(
  fc.record({
    at: fc.nat(),
    remove: fc.nat(2),
    insert: fc.oneof(
      fc.constantFrom(
        "\r\n",
        "\n",
        "\r",
        ":",
        " ",
        ";",
        "0",
        "1",
        "a",
        ",",
        "\0",
      ),
      fc.constantFrom(
        "chunked",
        "Content-Length: 1\r\n",
        "HTTP/1.1 200 OK\r\n",
      ),
    ),
  }),
  { minLength: 1, maxLength: 2 },
);

/** Allowed by RFC 9112 §6.3 and §7.1.1, refused by `node:http`. */
const lenient = new Set<unknown>([
  "HPE_UNEXPECTED_CONTENT_LENGTH", // The same length twice.
  "HPE_INVALID_CHUNK_SIZE", // Blanks around the size of a chunk.
  "HPE_STRICT", // An extension of a chunk that says nothing.
]);

describe("ResponseReader and node:http", () => {
  test("read the same of every response, wherever it is cut", async () => {
    await fc.assert(
      fc.asyncProperty(responses, cuts, async (written, at) => {
        const { bytes, status, body, reusable, untilClose } = written;
        const expected = { status, text: decode(body) };
        expect(await byNode(bytes)).toEqual(expected);
        const complete = read(pieces(bytes, at));
        expect(complete?.response).toEqual(expected);
        if (!untilClose) expect(complete?.reusable).toBe(reusable);
      }),
      fewRuns,
    );
  });

  test("almost a response: both refuse it or read the same", async () => {
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(
        responses,
        edits,
        cuts,
        async ({ bytes }, changes, at) => {
          const changed = changes.reduce(edited, bytes);
          const ours = outcome(pieces(changed, at));
          const { rest, ...whole } = outcome([changed]);
          // The cuts decide nothing.
          expect(ours).toMatchObject(whole);
          if (rest === undefined) return;
          accepted++;
          const theirs = await byNode(
            changed.subarray(0, changed.length - rest.length),
          );
          if (!lenient.has(theirs)) expect(whole).toEqual({ result: theirs });
        },
      ),
      { numRuns: 500 },
    );
    expect(accepted).toBeGreaterThan(50);
  });

  test("one after the other over one connection, each is read as if it were alone", () => {
    const complete = responses.filter(
      ({ untilClose, reusable }) => !untilClose && reusable,
    );
    fc.assert(
      fc.property(
        fc.array(complete, { minLength: 2, maxLength: 4 }),
        cuts,
        (all, at) => {
          let reader = new ResponseReader();
          const found: object[] = [];
          for (const piece of pieces(
            Buffer.concat(all.map(({ bytes }) => bytes)),
            at,
          )) {
            let rest = piece;
            while (rest.length > 0) {
              const { response, rest: left } = reader.push(rest) ?? {
                rest: new Uint8Array(),
              };
              if (response) {
                found.push(response);
                reader = new ResponseReader();
              }
              rest = left;
            }
          }
          expect(found).toEqual(
            all.map(({ status, body }) => ({ status, text: decode(body) })),
          );
        },
      ),
      runs,
    );
  });
});

function edited(
  bytes: Uint8Array,
  { at, remove, insert }: { at: number; remove: number; insert: string },
): Uint8Array {
  const start = at % (bytes.length + 1);
  return Buffer.concat([
    bytes.subarray(0, start),
    encode(insert),
    bytes.subarray(start + remove),
  ]);
}

/** The status and the text, and the bytes after it; else how the bytes are refused, or that they are no whole response. */
function outcome(parts: readonly Uint8Array[]): {
  result: unknown;
  rest?: Uint8Array;
} {
  try {
    const complete = read(parts);
    if (!complete) return { result: "incomplete" };
    const { status, text } = complete.response;
    return { result: { status, text }, rest: complete.rest };
  } catch (error) {
    if (error instanceof MalformedResponse) return { result: "malformed" };
    throw error;
  }
}

/** The bytes, cut at those places. */
function pieces(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const ends = places.map((place) => place % (bytes.length + 1));
  const sorted = [0, ...ends.toSorted((a, b) => a - b), bytes.length];
  return sorted
    .slice(1)
    .map((end, i) => bytes.subarray(sorted[i], end))
    .filter(({ length }) => length > 0);
}

/** The response in these pieces, after which the connection is closed. */
function read(parts: readonly Uint8Array[]): Complete | undefined {
  const reader = new ResponseReader();
  for (const part of parts) {
    const complete = reader.push(part);
    if (complete) return complete;
  }
  return reader.close();
}

interface Served {
  port: number;
  /** The response to the next connection. */
  bytes: Uint8Array;
  stop(): void;
}

/** Answers any request with these bytes and closes the connection. */
function serve(): Served {
  const served = {
    port: 0,
    bytes: new Uint8Array(),
    stop: () => listener.stop(true),
  };
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      data(socket) {
        socket.write(served.bytes);
        socket.end();
      },
    },
  });
  served.port = listener.port;
  return served;
}

/** The result of `node:http` for these bytes; the code of its error when it refuses them. */
async function byNode(bytes: Uint8Array): Promise<object | string> {
  server.bytes = bytes;
  const { promise, resolve } = Promise.withResolvers<object | string>();
  const { port } = server;
  const sent = request({ host: "127.0.0.1", port, agent: false });
  const failed = (error: { code?: string; message: string }) =>
    resolve(error.code ?? error.message);
  sent.on("error", failed);
  sent.on("close", () => resolve("closed"));
  sent.on("response", (response: IncomingMessage) => {
    const parts: Uint8Array[] = [];
    response.on("data", (part: Uint8Array) => void parts.push(part));
    response.on("error", failed);
    response.on("close", () => resolve("closed"));
    response.on("end", () => {
      const { statusCode: status, complete } = response;
      const text = decode(Buffer.concat(parts));
      resolve(complete ? { status, text } : "incomplete");
    });
  });
  sent.end();
  return promise;
}
