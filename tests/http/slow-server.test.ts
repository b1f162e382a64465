/** A request that the socket takes in parts: the server reads slower than it is sent. */
import { afterEach, expect, test } from "bun:test";
import { type Server, type Socket, createServer } from "node:net";
import { Connection } from "../../lib/http/connection.ts";

let server: Server | undefined;

afterEach(() => server?.close());

/** A server that answers with the number of each request's bytes, and pauses after each piece. */
function slowServer(): Promise<{ url: string; bytes: () => string }> {
  const pieces: Buffer[] = [];
  const { promise, resolve } = Promise.withResolvers<string>();
  server = createServer((socket: Socket) => {
    socket.on("data", (piece: Buffer) => {
      pieces.push(piece);
      socket.pause();
      setImmediate(() => socket.resume());
      if (!piece.toString("latin1").endsWith(last)) return;
      const ok = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n";
      socket.write(`${ok}1${ok}2`);
    });
  });
  server.listen(0, "127.0.0.1", () => {
    const address = server?.address();
    const port = typeof address === "object" ? address?.port : undefined;
    resolve(`http://127.0.0.1:${port}`);
  });
  const bytes = () => Buffer.concat(pieces).toString("latin1");
  return promise.then((url) => ({ url, bytes }));
}

const last = "Authorization: Bearer last\r\n\r\n";

test("Connection.send, a body that the socket takes in parts, and a request behind it: each byte once", async () => {
  const { url, bytes } = await slowServer();
  // More than the buffers of both ends; no two parts are equal.
  const text = Array.from({ length: 2_000_000 }, (_, i) => `${i} `).join("");
  const connection = new Connection({ url });
  const { signal } = new AbortController();
  const contentType = "application/json";
  const [first, second] = await Promise.all([
    connection.send(
      { method: "PATCH", path: "/a", body: { contentType, text } },
      undefined,
      signal,
    ),
    connection.send({ method: "GET", path: "/b" }, "Bearer last", signal),
  ]);
  expect([first?.text, second?.text]).toEqual(["1", "2"]);
  const [head, body, next, ...rest] = bytes().split(/\r\n\r\n|(?=GET )/);
  expect(head).toStartWith("PATCH /a HTTP/1.1\r\n");
  expect(body === text).toBe(true);
  expect(next).toStartWith("GET /b HTTP/1.1\r\n");
  expect(rest).toEqual([""]);
});
