/**
 * The body of a fetched answer, up to the limit of every answer.
 */
import { bodyLimit } from "./http-response.ts";

export interface Body {
  /** Undefined when it is larger than the limit. */
  text?: string;
}

/** Stops reading at the limit. Throws what the connection throws. */
export async function readBody(response: Response): Promise<Body> {
  const length = Number(response.headers.get("content-length") ?? Number.NaN);
  if (length > bodyLimit) {
    await response.body?.cancel();
    return {};
  }
  // The usual answer states its length: read at once it costs less than by pieces.
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
