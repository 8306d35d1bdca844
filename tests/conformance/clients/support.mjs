/** What every driver needs: events as JSON lines, waits that end, documents kept by hand. */

export const RECONNECT_MS = 20;

const WAIT_MS = 10_000;
const POLL_MS = 5;

/** Print one event: what the application saw, in a form that Python can read. */
export function tell(event, value) {
  console.log(JSON.stringify({ event, value: shown(value) }));
}

/** Wait until `condition` gives something true; returns that. */
export async function until(condition, what) {
  const deadline = Date.now() + WAIT_MS;
  for (;;) {
    const value = condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`not in ${WAIT_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** `promise`, or an error when it takes too long. */
export function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not in ${WAIT_MS} ms: ${what}`)), WAIT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** A value with the types that JSON lacks under names of their own. */
function shown(value) {
  if (value instanceof Date) return { date: value.getTime() };
  if (value instanceof RegExp) return { regexp: String(value) };
  if (value instanceof Uint8Array) return { bytes: [...value] };
  if (typeof value === "number" && !Number.isFinite(value)) return { number: String(value) };
  if (Array.isArray(value)) return value.map(shown);
  if (value === null || typeof value !== "object") return value;
  if (typeof value.toHexString === "function") return { oid: value.toHexString() };
  const fields = Object.entries(value).map(([name, field]) => [name, shown(field)]);
  return Object.fromEntries(fields);
}

/** The documents of a client that leaves keeping them to its application. */
export class Documents {
  #collections = {};

  of(collection) {
    return this.#collections[collection] ?? {};
  }

  clear() {
    this.#collections = {};
  }

  added({ collection, id, fields }) {
    this.#collections[collection] ??= {};
    if (id in this.#collections[collection]) throw new Error(`${collection} ${id} is added twice`);
    this.#collections[collection][id] = { ...fields };
  }

  changed({ collection, id, fields, cleared }) {
    Object.assign(this.#collections[collection][id], fields);
    for (const name of cleared ?? []) delete this.#collections[collection][id][name];
  }

  removed({ collection, id }) {
    if (!(id in this.#collections[collection])) throw new Error(`${collection} ${id} is removed`);
    delete this.#collections[collection][id];
  }
}
