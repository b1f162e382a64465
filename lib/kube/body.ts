/**
 * The body of a fetched response, up to the limit of every response.
 */
import { bodyLimit } from "./http-response.ts";

export interface Body {
  /** Undefined if it exceeds the limit. */
  text?: string;
}

/** Stops reading at the limit. Throws the connection's error. */
export async function readBody(response: Response): Promise<Body> {
  const length = Number(response.headers.get("content-length") ?? Number.NaN);
  if (length > bodyLimit) {
    await response.body?.cancel();
    return {};
  }
  // A response usually states its length: one read costs less than many.
  return length >= 0 ? { text: await response.text() } : readStream(response);
}

async function readStream(response: Response): Promise<Body> {
  const body: ReadableStream<Uint8Array> | null = response.body;
  const chunks: Uint8Array[] = [];
  let size = 0;
  // Leaving the loop cancels the stream, which closes the connection.
  for await (const chunk of body ?? []) {
    size += chunk.byteLength;
    if (size > bodyLimit) return {};
    chunks.push(chunk);
  }
  return { text: Buffer.concat(chunks).toString("utf8") };
}
