/** One file on its way to `POST /api/files`; XMLHttpRequest because fetch tells no upload progress. */

import { HttpError, type StoredFile, problem, unreachable } from "./api";

/** Resolves with the stored file; `onProgress` gets the fraction sent so far. */
export type Upload = (file: File, onProgress: (fraction: number) => void, signal: AbortSignal) => Promise<StoredFile>;

export const upload: Upload = (file, onProgress, signal) =>
  new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const form = new FormData();
    form.append("file", file, file.name);
    request.upload.onprogress = ({ loaded, total }) => onProgress(total ? loaded / total : 0);
    request.onload = () => {
      if (request.status === 201) resolve(JSON.parse(request.responseText) as StoredFile);
      else reject(problem(request.status, request.responseText));
    };
    request.onerror = () => reject(unreachable());
    request.onabort = () => reject(new HttpError(0, "cancelled", "The upload was cancelled."));
    signal.addEventListener("abort", () => request.abort());
    request.open("POST", "/api/files");
    request.send(form);
  });
