/** Where pictures come in: dropped anywhere on the page (folders too), pasted, or chosen. */

import { useEffect, useRef, useState } from "preact/hooks";
import type { JSX } from "preact";

import { useTandem } from "../app/tandem";
import * as format from "../format";
import { Icon } from "../parts/icons";
import { droppedFiles } from "./dropped_files";

interface Props {
  readonly onFiles: (files: readonly File[]) => void;
  /** Whether it makes room for the pictures that are there. */
  readonly small: boolean;
}

export function DropZone({ onFiles, small }: Props): JSX.Element {
  const input = useRef<HTMLInputElement>(null);
  const over = useFilesOverPage(onFiles);
  return (
    <div class={`drop ${small ? "drop-small" : ""} ${over ? "drop-over" : ""}`}>
      <div class="drop-art" aria-hidden="true">
        <Icon name="picture" />
        <Icon name="picture" />
      </div>
      <p class="drop-title">{over ? "Let go to start" : "Drop images here"}</p>
      <p class="drop-or">or paste them, or</p>
      <button type="button" class="button button-main" onClick={() => input.current?.click()}>
        <Icon name="upload" />
        Choose files
      </button>
      <input
        ref={input}
        class="unseen"
        type="file"
        accept="image/*,.heic,.heif,.avif"
        multiple
        tabIndex={-1}
        aria-label="Image files"
        onChange={(event) => {
          const files = [...(event.currentTarget.files ?? [])];
          event.currentTarget.value = "";
          if (files.length) onFiles(files);
        }}
      />
      <p class="drop-limits">{useLimits()}</p>
    </div>
  );
}

function useLimits(): string {
  const { session } = useTandem();
  const { fileBytes, imagePixels } = session.user.value?.limits ?? {};
  const limits = [
    fileBytes === undefined ? "" : format.bytes(fileBytes).replace(".0", ""),
    imagePixels === undefined ? "" : `${format.count(Math.round(imagePixels / 1e6))} megapixels`,
  ].filter(Boolean);
  const types = "JPEG, PNG, WebP, AVIF, HEIC, GIF or TIFF";
  return limits.length ? `${types}, each up to ${limits.join(" and ")}` : types;
}

/** Whether files are held over the page; letting go anywhere on it hands them over. */
function useFilesOverPage(onFiles: (files: readonly File[]) => void): boolean {
  const [over, setOver] = useState(false);
  useEffect(() => {
    const drag = (event: DragEvent): void => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      setOver(true);
    };
    const leave = (event: DragEvent): void => {
      if (event.relatedTarget === null) setOver(false);
    };
    const drop = (event: DragEvent): void => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      setOver(false);
      void droppedFiles(event.dataTransfer).then((files) => files.length && onFiles(files));
    };
    document.addEventListener("dragover", drag);
    document.addEventListener("dragleave", leave);
    document.addEventListener("drop", drop);
    return () => {
      document.removeEventListener("dragover", drag);
      document.removeEventListener("dragleave", leave);
      document.removeEventListener("drop", drop);
    };
  });
  return over;
}
