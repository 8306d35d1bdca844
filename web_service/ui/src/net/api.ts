/** The HTTP interface of the web service, as far as the page uses it; dates are ISO texts. */

export interface User {
  readonly id: string;
  readonly username: string;
  readonly role: "user" | "operator";
  /** What the server refuses above; absent when it does not say. */
  readonly limits?: { readonly fileBytes?: number; readonly imagePixels?: number };
}

export interface StoredFile {
  readonly id: string;
  readonly filename: string;
  readonly contentType: string;
  readonly size: number;
}

export interface OrdersSummary {
  readonly count: number;
  readonly first: string | null;
  readonly last: string | null;
  readonly totalCents: number;
}

/** The server refused, or could not be reached (`status` 0). The message is fit to be shown. */
export class HttpError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
    this.name = "HttpError";
  }
}

export class Api {
  /** Who is logged in; null when nobody is. */
  async me(): Promise<User | null> {
    try {
      return (await request("GET", "/api/me")) as User;
    } catch (error) {
      if (error instanceof HttpError && error.status === 401) return null;
      throw error;
    }
  }

  async login(username: string, password: string): Promise<User> {
    return (await request("POST", "/api/login", { username, password })) as User;
  }

  async logout(): Promise<void> {
    await request("POST", "/api/logout");
  }

  /** Counts the orders from `start` to `end`, both included; an empty text leaves that side open. */
  async ordersSummary(start: string, end: string, signal: AbortSignal): Promise<OrdersSummary> {
    const query = new URLSearchParams();
    if (start) query.set("start", start);
    if (end) query.set("end", end);
    return (await request("GET", `/api/orders/summary?${query}`, undefined, signal)) as OrdersSummary;
  }

  /** The name of a stored file, from the headers alone; null when it is gone. */
  async filename(id: string): Promise<string | null> {
    const response = await fetch(fileUrl(id), { method: "HEAD" }).catch(() => null);
    return response?.ok ? filenameOf(response.headers.get("Content-Disposition") ?? "") : null;
  }
}

export function fileUrl(id: string, shown: "inline" | "attachment" = "attachment"): string {
  return `/api/files/${encodeURIComponent(id)}${shown === "inline" ? "?inline=1" : ""}`;
}

/** The name in a Content-Disposition header; RFC 6266's extended form comes first. */
export function filenameOf(disposition: string): string | null {
  const extended = /filename\*=UTF-8''([^;]+)/i.exec(disposition)?.[1];
  if (extended) {
    try {
      return decodeURIComponent(extended.trim());
    } catch {
      // Falls back to the plain form.
    }
  }
  const plain = /filename="((?:[^"\\]|\\.)*)"|filename=([^;"]+)/i.exec(disposition);
  return plain?.[1]?.replace(/\\(.)/g, "$1") ?? plain?.[2]?.trim() ?? null;
}

/** Makes the error of an answer that is `application/problem+json`, or is not. */
export function problem(status: number, text: string): HttpError {
  let body: { code?: string; title?: string; detail?: string } = {};
  try {
    body = JSON.parse(text) as typeof body;
  } catch {
    // A proxy's page, or nothing: the status has to do.
  }
  return new HttpError(status, body.code ?? `http-${status}`, body.detail || body.title || unexplained(status));
}

export function unreachable(): HttpError {
  return new HttpError(0, "unreachable", "The server can’t be reached. Check your connection and try again.");
}

function unexplained(status: number): string {
  return status === 503 ? "The server is busy. Try again in a moment." : "The server could not do this. Try again.";
}

async function request(method: string, path: string, body?: unknown, signal?: AbortSignal): Promise<unknown> {
  let response: Response;
  let text: string;
  try {
    response = await fetch(path, {
      method,
      ...(signal ? { signal } : {}),
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),
    });
    text = await response.text();
  } catch (error) {
    throw signal?.aborted ? error : unreachable();
  }
  if (!response.ok) throw problem(response.status, text);
  return text ? JSON.parse(text) : null;
}
